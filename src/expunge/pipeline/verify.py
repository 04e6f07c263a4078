"""Verify a removal: measure every model once, attack it and its controls, and let the verdict be derived."""

from __future__ import annotations

import platform
import re
import resource
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import torch

from expunge.contract.evidence import Evidence
from expunge.contract.job import Cache, Forgetful, Job
from expunge.contract.model import Model
from expunge.contract.splits import SPLITS, Splits
from expunge.facts.recipe import Recipe
from expunge.facts.record import Measurement, MethodFacts, Outcome, Record, SplitFacts, Thresholds
from expunge.facts.rows import Rows
from expunge.facts.score import Score
from expunge.pipeline.attacking import Attacker
from expunge.pipeline.battery import ANSWERS, INDISTINGUISHABLE, UTILITY, Battery, choose
from expunge.pipeline.gather import gather
from expunge.pipeline.measure import Measurer
from expunge.pipeline.overlap import repeats
from expunge.pipeline.processes import shared
from expunge.pipeline.progress import Bars
from expunge.pipeline.shadows import Shadow, shadow_cost
from expunge.pipeline.subjects import Subject
from expunge.verdict.reach import derive_tests, reach
from expunge.verdict.roles import control_of

ATTACKED = ("target", "unlearned", "guarded", "retrained", "never_trained")
"""Roles that attacks run on: the unlearned model, what it came from, and the controls."""

COMPUTED = ("scores", "predictions", "weights")
"""Evidence that some models do not give; a metric that reads it says nothing of them."""


@dataclass(frozen=True)
class Settings:
    """How to verify: which units, how much to generate, how many retain rows to look at, margins and the seed."""

    level: str = "standard"
    attacks: tuple[str, ...] | None = None
    metrics: tuple[str, ...] | None = None
    unit_settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    max_new_tokens: int = 64
    retain_rows: int = 400
    thresholds: Thresholds = field(default_factory=Thresholds)
    seed: int = 0


def evaluation_rows(splits: Splits, settings: Settings, extra: Mapping[str, Rows] | None = None) -> dict[str, Rows]:
    """Return the rows each split is measured on: forget, holdout and test whole, of retain the first in a seeded order.

    Where a source names retain rows with perturbed answers, these are the retain rows measured.
    """
    from expunge.engine.order import ordered

    rows = {name: splits.rows[name] for name in SPLITS if len(splits.rows.get(name, ()))}
    if "retain" in rows:
        rows["retain"] = rows["retain"].take(ordered(rows["retain"], settings.seed, 0)[: settings.retain_rows])
    named = dict(extra or {})
    if "retain_perturbed" in named:
        rows["retain"] = named.pop("retain_perturbed")
    return {**rows, **named}


def offered_by(rows: Mapping[str, Rows], subjects: Sequence[Subject], recipe: Recipe | None = None) -> frozenset[str]:
    """Return what units may need and this verification has: splits, models, and the recipe where it says how long training took."""
    found = set(rows)
    if any(subject.role == "retrained" for subject in subjects):
        found.add("retrained")
    if any(subject.role == "untrained" for subject in subjects):
        found.add("untrained")
    if recipe is not None and recipe.stop_loss is None:
        found.add("recipe")
    return frozenset(found)


def answers_of(model: Model) -> frozenset[str]:
    """Return what units may need of how a model answers: its classes, or a number."""
    return frozenset(name for name in ANSWERS if getattr(model.capabilities, name))


def verify(
    subjects: Sequence[Subject],
    splits: Splits,
    *,
    method: MethodFacts,
    request: Mapping[str, Any],
    settings: Settings | None = None,
    extra: Mapping[str, Rows] | None = None,
    plan: Mapping[str, Any] | None = None,
    commitments: Mapping[str, str] | None = None,
    shadows: Mapping[str, Sequence[Shadow]] | None = None,
    recipe: Recipe | None = None,
    cache: Cache | None = None,
    progress: Bars | None = None,
) -> Record:
    """Return the record of a removal, verdict included.

    `subjects` holds the target, the unlearned model (or the guarded one), and as many retrained and never-trained models as there
    are; `extra` names evaluation rows beside the splits, `shadows` the shadow models by kind, `recipe` how the target was trained.
    Every attack runs on the target, the unlearned model and every control.
    """
    settings, shadows, progress = settings or Settings(), shadows or {}, progress or Bars(quiet=True)
    started = time.perf_counter()
    rows = evaluation_rows(splits, settings, extra)
    opened = {subject.name: subject.open() for subject in subjects}
    first = next(iter(opened.values()))
    modality = first.modality
    judged_by = "numbers" if first.capabilities.numbers else modality
    battery = choose(
        modality,
        offered_by(rows, subjects, recipe) | answers_of(first) | ({"shadows"} if shadows else set()),
        level=settings.level,
        attacks=settings.attacks,
        metrics=settings.metrics,
        settings=settings.unit_settings,
        controlled=any(subject.role in ("retrained", "never_trained") for subject in subjects),
        forget=rows["forget"],
    )
    job = Job(seed=settings.seed, progress=progress, recipe=recipe)
    measurer = Measurer(job, shared(cache or Forgetful()))
    found = gather(subjects, opened, rows, battery, measurer, settings.max_new_tokens, shadows, progress)
    measurements = _measure(found, battery)
    target = next((opened[subject.name] for subject in subjects if subject.role == "target"), None)
    attacker = Attacker(battery, measurer, splits, settings.seed, settings.max_new_tokens, progress, target)
    attacked = [subject for subject in subjects if subject.role in ATTACKED]
    outcomes = [
        *(outcome for one in attacked for outcome in attacker.attack(opened[one.name], found[one.name], one)),
        *_utility(found, measurements, judged_by),
    ]
    record = Record(
        request=dict(request),
        plan=dict(plan or {}),
        versions=versions(),
        seeds={"method": method.seed, "verify": settings.seed},
        splits=tuple(_split_facts(name, split, (commitments or {}).get(name, "")) for name, split in rows.items()),
        models=tuple(subject.facts(opened[subject.name]) for subject in subjects),
        method=method,
        thresholds=settings.thresholds.model_copy(
            update={
                "battery": settings.thresholds.battery or battery.names,
                "indistinguishable_metrics": settings.thresholds.indistinguishable_metrics
                or INDISTINGUISHABLE.get(judged_by, ()),
            }
        ),
        measurements=tuple(measurements),
        outcomes=tuple(outcomes),
        overlap=repeats(splits, modality),
        refusals=(*battery.left_out, *(note for model in opened.values() for note in model.capabilities.notes)),
        cost={
            **{f"{name} (s)": seconds for name, seconds in measurer.seconds.items()},
            **shadow_cost(shadows),
            "verification (s)": time.perf_counter() - started,
            "peak memory (MB)": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        },
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return judged(record)


def judged(record: Record) -> Record:
    """Return the record with its tests and claim derived from its evidence."""
    record = record.model_copy(update={"tests": derive_tests(record), "control": control_of(record)})
    return record.model_copy(update={"claim": reach(record)})


def versions() -> dict[str, str]:
    """Return the versions that a rerun must match."""
    named = ("expunge", "torch", "transformers", "numpy", "scipy", "tokenizers", "peft", "diffusers")
    found = {"python": platform.python_version()}
    for name in named:
        try:
            found[name] = version(name)
        except ModuleNotFoundError:
            continue
    return {**found, "threads": str(torch.get_num_threads())}


def _split_facts(name: str, rows: Rows, commitment: str) -> SplitFacts:
    """Ids made from a row's content (rows that came without an id) stay out: they would confirm a guessed text."""
    numbers: dict[str, int] = {}
    groups = tuple(numbers.setdefault(group, len(numbers)) for group in rows.groups)
    ids = () if any(re.fullmatch(r"[0-9a-f]{16}(-\d+)?", row_id) for row_id in rows.ids) else rows.ids
    return SplitFacts(name=name, n=len(rows), ids=ids, groups=groups, commitment=commitment)


def _measure(found: Mapping[str, Evidence], battery: Battery) -> list[Measurement]:
    measurements = []
    for name, evidence in found.items():
        for metric, unit in battery.metrics:
            if any(need in unit.about.needs and not getattr(evidence, need) for need in COMPUTED):
                continue
            for split, score in unit.run(evidence).items():
                measurements.append(Measurement(metric=metric, model=name, split=split, score=score))
    return measurements


def _utility(found: Mapping[str, Evidence], measurements: Sequence[Measurement], judged_by: str) -> list[Outcome]:
    """Per-row utility of every model on retain and test rows, as outcomes that the verdict reads."""
    by_key = {(m.metric, m.model, m.split): m.score for m in measurements}
    outcomes = []
    for name, evidence in found.items():
        if evidence.role in ("untrained", "base"):
            continue
        for metric in UTILITY.get(judged_by, ()):
            for split in ("retain", "test"):
                score: Score | None = by_key.get((metric, name, split))
                if score is not None and score.per_example is not None:
                    outcomes.append(
                        Outcome(
                            attack=metric,
                            model=name,
                            kind="success",
                            step="utility",
                            split=split,
                            forget=score.per_example,
                        )
                    )
    return outcomes
