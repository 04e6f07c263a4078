"""Train the shadow models of a plan, each a piece of its run, and gather what attacks read of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from expunge.contract.evidence import Evidence
from expunge.contract.model import Model
from expunge.contract.registry import find
from expunge.contract.splits import Splits
from expunge.engine.fit import starting
from expunge.engine.fit_many import fit_many, trains_together
from expunge.engine.order import ordered
from expunge.facts.rows import Row, Rows
from expunge.pipeline.given import Given
from expunge.pipeline.measure import Measurer, Wanted
from expunge.pipeline.plan import MethodPlan
from expunge.pipeline.progress import Bars
from expunge.pipeline.workshop import Workshop

SHARED = ("forget", "holdout")
"""Splits that shadow models are trained on or not: the rows whose membership attacks ask for."""


@dataclass(frozen=True)
class Shadow:
    """A shadow model: how to open it, which forget and holdout rows it was trained on, and what making it cost."""

    name: str
    open: Callable[[], Model]
    members: Rows
    seconds: float


def halves(rows: Rows, count: int, seed: int) -> list[Rows]:
    """Return the half of `rows` that each of `count` models is trained on: of models 2j and 2j + 1 every row is in one.

    Groups are shared out whole (a row without one is its own): rows of one person, or copies of one statement, know of each other.
    Keyed on their names, so that the order of rows does not matter.
    """
    named = Rows(tuple(Row(id=group, fields={}) for group in sorted(set(rows.groups))))
    found = []
    for pair in range(count // 2):
        inside = {named[i].id for i in ordered(named, seed, pair)[::2]}
        for wanted in (True, False):
            found.append(rows.take([i for i, group in enumerate(rows.groups) if (group in inside) is wanted]))
    return found


@dataclass(frozen=True)
class _Asked:
    """A shadow model to train: its piece, its seed, and the rows it knows beside the retain rows."""

    piece: str
    seed: int
    members: Rows


def _members(parts: Iterable[Rows]) -> Rows:
    return Rows(tuple(row for part in parts for row in part), "members")


def _given(model: Model) -> Model:
    return model


@dataclass(frozen=True)
class Shadows:
    """Trains a plan's shadow models under seeds of their own; `like` is the directory of a model of their architecture."""

    shop: Workshop
    given: Given
    like: Path

    def of(self, method: MethodPlan | None) -> dict[str, tuple[Shadow, ...]]:
        """Return the shadow models by kind; without a `method` nothing is unlearned from those trained on every row.

        halves: trained on the retain rows and half of the forget and holdout rows. trained_then_unlearned: trained on all
        of them, the latter two then unlearned by the method. retrained: trained on the retain rows alone.
        """
        count, seed = self.shop.plan.verify.shadows, self.shop.plan.seeds.shadows
        shared = [halves(self.given.rows[split], count, seed) for split in SHARED]
        every = tuple(self.given.rows[split] for split in SHARED)
        halved = [_Asked(f"shadow-halves-{i}", seed + i, _members(part[i] for part in shared)) for i in range(count)]
        whole = [_Asked(f"shadow-trained-{i}", seed + count + i, _members(every)) for i in range(count)]
        without = [_Asked(f"shadow-retrained-{i}", seed + 2 * count + i, _members(())) for i in range(count)]
        prepares = method is not None and find("method", method.name).about.before_training
        for kind in (halved, () if prepares else whole, without):
            self._train_together(kind)
        found: dict[str, tuple[Shadow, ...]] = {
            "halves": tuple(self._trained(one) for one in halved),
            "trained_then_unlearned": tuple(self._unlearned(method, i, one) for i, one in enumerate(whole)),
            "retrained": tuple(self._trained(one) for one in without),
        }
        return {kind: shadows for kind, shadows in found.items() if shadows}

    def _rows(self, asked: _Asked) -> Rows:
        return Rows((*asked.members, *self.given.training("retain")), "training")

    def _train_together(self, asked: Sequence[_Asked]) -> None:
        """Train all of a kind in one loop, where models can be and one is not there; else they are left to `_trained`.

        All, also where a kill left some: a loop over fewer models may round differently, and weights must not hang on where a kill fell.
        """
        if all(self.shop.run.has(one.piece) for one in asked) or not trains_together(like := self.shop.open(self.like)):
            return
        self.shop.progress.stage, started = "shadow models", time.perf_counter()
        recipes = [self.shop.recipe(one.seed) for one in asked]
        models = [starting(like, one.seed, self.shop.job(one.seed)) for one in asked]
        fit_many(models, [self._rows(one) for one in asked], recipes, job=self.shop.job(recipes[0].seed))
        each = (time.perf_counter() - started) / len(asked)
        for one, model in zip(asked, models, strict=True):
            self.shop.model(one.piece, partial(_given, model), seconds=each)

    def _trained(self, asked: _Asked) -> Shadow:
        return self._made(
            asked.piece, asked.members, lambda: self.shop.trained_again(self.like, self._rows(asked), asked.seed)
        )

    def _unlearned(self, method: MethodPlan | None, i: int, asked: _Asked) -> Shadow:
        if method is not None and find("method", method.name).about.before_training:
            return self._made(
                f"shadow-trained-{method.label}-{i}",
                asked.members,
                lambda: self._prepared(method, asked.members, asked.seed),
            )
        trained = self._trained(asked)
        if method is None:
            return trained
        made = self._made(f"shadow-trained-{method.label}-{i}", asked.members,
                          lambda: self._removed(method, trained.open(), asked.members, asked.seed))  # fmt: skip
        return replace(made, seconds=trained.seconds + made.seconds)

    def _prepared(self, method: MethodPlan, forget: Rows, seed: int) -> Model:
        blank = self.shop.open(self.like).fresh(seed)
        rows = Rows((*forget, *self.given.training("retain")), "training")
        target = self.shop.prepared(method, blank, rows, self.shop.recipe(seed), seed)
        return self._removed(method, target, forget, seed)

    def _removed(self, method: MethodPlan, target: Model, forget: Rows, seed: int) -> Model:
        """Unlearn forget and holdout rows by the method, as the plan sets it."""
        kept = {name: rows for name, rows in self.given.rows.items() if name not in SHARED}
        recipe = self.shop.recipe(seed)
        return self.shop.removed(method, target, Splits({**kept, "forget": forget}), seed, recipe)[0]

    def _made(self, piece: str, members: Rows, make: Callable[[], Model]) -> Shadow:
        directory = self.shop.model(piece, make)
        return Shadow(piece, lambda: self.shop.open(directory), members, self.shop.seconds(piece))


def shadow_evidence(
    shadows: Mapping[str, Sequence[Shadow]], rows: Mapping[str, Rows], measurer: Measurer, progress: Bars
) -> dict[str, tuple[Evidence, ...]]:
    """Return every shadow model's one pass over the forget and holdout rows, and as `members` the rows it was trained on."""
    judged = {split: rows[split] for split in SHARED if split in rows}
    wanted = Wanted(frozenset({"scores"}), judged)

    def one(shadow: Shadow) -> Evidence:
        progress.stage = f"measuring {shadow.name}"
        found = measurer.evidence(shadow.open(), wanted, name=shadow.name, role="shadow")
        return replace(found, rows={**found.rows, "members": shadow.members})

    return {kind: tuple(one(shadow) for shadow in found) for kind, found in shadows.items()}


def shadow_cost(shadows: Mapping[str, Sequence[Shadow]]) -> dict[str, float]:
    """Return how many shadow models a record's attacks read, and the seconds it took to make them."""
    every = [shadow for found in shadows.values() for shadow in found]
    return (
        {"shadow models": float(len(every)), "training shadow models (s)": sum(one.seconds for one in every)}
        if every
        else {}
    )
