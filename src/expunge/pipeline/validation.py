"""A second request like the plan's, made from its retain rows alone: what settings may be tuned on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from expunge.contract.apply import undisturbed
from expunge.contract.job import Cache, Job, Progress
from expunge.contract.model import Model
from expunge.contract.registry import find
from expunge.contract.splits import Splits
from expunge.engine.fit import fit, starting
from expunge.engine.order import ordered
from expunge.engine.score import score
from expunge.facts.errors import InputError
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Row, Rows
from expunge.pipeline.build import untrained
from expunge.pipeline.given import Given
from expunge.pipeline.loading import Placement, load_model
from expunge.pipeline.plan import MethodPlan, Plan
from expunge.pipeline.progress import Bars
from expunge.statistics.answers import own_answers
from expunge.statistics.clusters import FloatArray
from expunge.store.run import Run


@dataclass(frozen=True)
class Validation:
    """Rows to forget and to retain, those of the latter that utility is measured on, and rows in every training set, or before it (`base`).

    None of them is a forget, holdout or test row of the plan; `reported` counts those that the plan reports as retain rows, and `asked`
    the plan's own forget rows.
    """

    splits: Splits
    utility: Rows
    beside: Rows
    reported: int
    asked: int
    base: Rows = field(default_factory=lambda: Rows(()))


def _drawn(names: Sequence[str], seed: int) -> list[str]:
    """Return distinct names in the order of a hash of (seed, name)."""
    rows = Rows(tuple(Row(id=name, fields={}) for name in dict.fromkeys(names)))
    return [rows[i].id for i in ordered(rows, seed, 0)]


KINDS_OF_ROW = ("label", "subclass")
"""Fields whose value says what kind a row is of; the coarser one first."""


def _like(forget: Rows, retain: Rows, seed: int) -> set[str]:
    """Return ids of retain rows that resemble the forget rows: whole labels or sub-classes where these go, else whole groups."""
    for name in KINDS_OF_ROW:
        kinds, others = ([row.get(name) for row in rows] for rows in (forget, retain))
        if None not in (*kinds, *others) and not set(kinds) & set(others):
            chosen = set(_drawn([str(kind) for kind in others], seed)[: len(set(kinds))])
            return {row.id for row, kind in zip(retain, others, strict=True) if str(kind) in chosen}
    members: dict[str, list[str]] = {}
    for row, group in zip(retain, retain.groups, strict=True):
        members.setdefault(group, []).append(row.id)
    found: set[str] = set()
    for group in _drawn(retain.groups, seed):
        if len(found) >= len(forget):
            break
        found.update(members[group])
    return found


def validation_request(given: Given, reported: Rows, seed: int) -> Validation:
    """Return a request of about as many rows as the plan's; `reported` are the retain rows that the plan's run measures.

    Utility is measured on kept rows that are not reported, where there are any.
    """
    forget, retain = given.rows["forget"], given.rows.get("retain", Rows(()))
    chosen = _like(forget, retain, seed)
    gone = Rows(tuple(row for row in retain if row.id in chosen), "forget")
    kept = Rows(tuple(row for row in retain if row.id not in chosen), "retain")
    if len(kept) < max(1, len(gone)):
        raise InputError(
            f"{len(retain)} retain rows are too few to draw a second request of {len(gone)} from",
            do="give the source more retain rows",
        )
    seen = {row.content() for row in reported}
    fresh = Rows(tuple(row for row in kept if row.content() not in seen), "retain")
    utility = fresh if len(fresh) else kept
    count = sum(row.content() in seen for row in (*gone, *utility))
    return Validation(Splits.of(forget=gone, retain=kept), utility, given.beside, count, len(forget), given.base)


@dataclass(frozen=True)
class Models:
    """The validation target and the models retrained without its forget rows, as directories of finished pieces."""

    target: Path
    retrained: tuple[Path, ...]
    placement: Placement
    recipe: Recipe
    base: Path | None = None
    """The model that training started from, where it did not start from drawn weights."""

    def open(self, directory: Path) -> Model:
        """Load one of them."""
        return load_model(directory, self.placement)

    def job(self, seed: int, cache: Cache, progress: Progress) -> Job:
        """Return the job of a trial: with the recipe and the base model, as in a run of the plan."""
        base = None if self.base is None else partial(self.open, self.base)
        return Job(seed=seed, progress=progress, recipe=self.recipe, cache=cache, base=base)


def check_trainable(plan: Plan) -> Recipe:
    """Return the plan's recipe; a plan that trains no model of its own is refused."""
    if plan.recipe is None or (plan.model.architecture is None and plan.model.base is None):
        raise InputError(
            "a search trains models of its own: the plan needs an architecture (or a base model) and a [recipe]",
            causes=("settings tuned on the target that is reported would be tuned on the result",),
        )
    return plan.recipe


def train_models(
    plan: Plan,
    rows: Validation,
    run: Run,
    base: Path,
    seed: int,
    retrained: int,
    placement: Placement,
    progress: Bars,
    method: MethodPlan | None = None,
) -> Models:
    """Train by the plan's recipe on the validation rows, resuming what was finished; no row of the plan's request is read.

    A `method` that acts before training prepares them all, with the settings that it has, as in a run of the plan.
    """
    recipe, splits = check_trainable(plan), rows.splits.rows
    of = "" if method is None else f"-{method.label}"

    def piece(name: str, make: Callable[[], Model]) -> Path:
        if not run.has(name):
            progress.stage = name
            model = make()
            with run.finishing(name) as folder:
                model.save(folder)
        return run.directory(name)

    start = _start(plan, rows, piece, base, seed, placement, progress)

    def trained(number: int, *names: str) -> Model:
        training = Rows(tuple(row for name in names for row in splits[name]) + tuple(rows.beside), "training")
        own = recipe.model_copy(update={"seed": seed + number})
        with undisturbed(own.seed):
            job = Job(
                seed=own.seed,
                progress=progress,
                base=partial(load_model, start.base, placement) if start.base else None,
            )
            model = starting(load_model(start.like, placement), own.seed, job)
            if method is None:
                return fit(model, training, own, job=job)
            prepared: Model = find("method", method.name).create(method.settings).prepare(model, training, own, job)
            return prepared

    target = piece(f"tune-target{of}", lambda: trained(0, "forget", "retain"))
    others = [piece(f"tune-retrained{of}-{i}", lambda i=i: trained(1 + i, "retain")) for i in range(retrained)]  # type: ignore[misc]
    return Models(target, tuple(others), placement, recipe, start.base)


@dataclass(frozen=True)
class _Start:
    """A model of the architecture to train, and the base model that training starts from, where there is one."""

    like: Path
    base: Path | None = None


def _start(
    plan: Plan,
    rows: Validation,
    piece: Callable[[str, Callable[[], Model]], Path],
    base: Path,
    seed: int,
    placement: Placement,
    progress: Bars,
) -> _Start:
    if plan.model.base is not None:
        return _Start(base / plan.model.base, base / plan.model.base)
    blank = piece("tune-untrained", lambda: untrained(plan.model, rows.splits.rows, seed, base))
    if not len(rows.base):
        return _Start(blank)
    recipe = (plan.base_recipe or check_trainable(plan)).model_copy(update={"seed": seed})

    def trained() -> Model:
        with undisturbed(seed):
            return fit(load_model(blank, placement), rows.base, recipe, job=Job(seed=seed, progress=progress))

    return _Start(blank, piece("tune-base", trained))


def probabilities(model: Model, rows: Rows, job: Job) -> FloatArray:
    """Return exp(mean log p a scored position) of each row's own answer, (rows,): for a classifier p(label)."""
    return np.exp(own_answers(score(model, rows, job=job), rows).mean_log_prob())


@dataclass(frozen=True)
class Bar:
    """What the retrained models give: the mean of their probabilities, row by row, that a removal is to come near to."""

    forget: FloatArray
    utility: FloatArray

    @classmethod
    def of(cls, models: Models, rows: Validation, job: Job) -> Bar:
        """Score the retrained models."""
        found: Mapping[str, list[FloatArray]] = {"forget": [], "utility": []}
        for path in models.retrained:
            model = models.open(path)
            found["forget"].append(probabilities(model, rows.splits.rows["forget"], job))
            found["utility"].append(probabilities(model, rows.utility, job))
        return cls(np.mean(found["forget"], axis=0), np.mean(found["utility"], axis=0))

    def distances(self, model: Model, rows: Validation, job: Job) -> tuple[float, float]:
        """Return (mean |p - p_retrained| on the forget rows, how far mean p on the utility rows fell below theirs, at least 0)."""
        away = np.abs(probabilities(model, rows.splits.rows["forget"], job) - self.forget).mean()
        fell = self.utility.mean() - probabilities(model, rows.utility, job).mean()
        return float(away), max(0.0, float(fell))
