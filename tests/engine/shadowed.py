"""Worlds on real digits in which it is known who was a member; targets, shadow models and retrained models are trained in one loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from classifiers import mean_interval

from expunge.contract.apply import unlearn
from expunge.contract.evidence import Evidence
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.registry import find
from expunge.contract.splits import Splits
from expunge.engine.fit_many import fit_many
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Rows
from expunge.modalities.vision import vision_model
from expunge.pipeline.measure import Measurer
from expunge.pipeline.shadows import halves
from expunge.sources.digits import Digits
from expunge.statistics.auc import auc, tpr_at_fpr
from expunge.statistics.bounds import Bounds
from expunge.testbeds.vision import IMAGES

NO_PROBE: Any = None
SHADOWS, TARGETS, RETRAINED = 32, 4, 10
FEW, MANY = (8, 3), (16, 10)
"""Pairs of shadow models, and targets a method is run on: in tests of seconds, and of minutes."""
REPORTED = (10, 20, 30, 40, 50)
"""Seeds of rows and models that claims are reported on: bounds were set on seeds 0, 1 and 2, and no model is of two seeds."""
DRAWS = [pytest.param((0,), id="one"), pytest.param(REPORTED, id="five", marks=pytest.mark.slow)]
NONE = Rows(())


def trained(members: Sequence[Rows], retain: Rows, seed: int, epochs: int) -> list[Model]:
    """Train a model on each set of members and on the retain rows, all in one loop."""
    torch.set_num_threads(1)
    seeds = [1000 * seed + i for i in range(len(members))]
    models: list[Model] = [vision_model("mlp", images=IMAGES, classes=10, width=64, depth=1, seed=one) for one in seeds]
    recipes = [Recipe(epochs=epochs, lr=1e-2, batch_size=128, seed=one) for one in seeds]
    fit_many(models, [Rows((*own, *retain)) for own in members], recipes, job=Job())
    return models


def read(model: Model, name: str, splits: Mapping[str, Rows]) -> Evidence:
    """Return the one pass over some splits; what the pipeline's `shadow_evidence` returns, less the members."""
    scores = {split: Measurer(Job()).score(model, rows) for split, rows in splits.items()}
    return Evidence(name=name, role="shadow", modality="vision", rows=splits, scores=scores)


def parted(one: Evidence, splits: Mapping[str, Rows]) -> Evidence:
    """Return the evidence on `shared` as that on the splits which share its rows out."""
    place = {row_id: i for i, row_id in enumerate(one.rows["shared"].ids)}
    scores = {split: one.scores["shared"].take([place[row] for row in rows.ids]) for split, rows in splits.items()}
    members = {"members": one.rows["members"]}
    return replace(one, rows={**splits, **members}, scores=scores)


@dataclass(frozen=True)
class _World:
    shared: Rows
    members: Sequence[Rows]
    passed: Sequence[Evidence]

    def judged(self, one: int, target: int, retrained: Sequence[int]) -> Evidence:
        """Return a model on the splits of a target, beside the shadow models (from the target's own on round) and retrained ones."""
        inside = set(self.members[SHADOWS + target].ids)
        splits = {
            "forget": self.shared.take([j for j, row in enumerate(self.shared.ids) if row in inside]),
            "holdout": self.shared.take([j for j, row in enumerate(self.shared.ids) if row not in inside]),
        }
        shadows = [(8 * target + i) % SHADOWS for i in range(SHADOWS)]
        found = {i: parted(self.passed[i], splits) for i in (one, *shadows, *retrained)}
        beside = {"halves": tuple(found[i] for i in shadows)}
        return replace(found[one], shadows=beside, retrained=tuple(found[i] for i in retrained))


@cache
def _world(noise: float, seed: int) -> _World:
    found = Digits(forget="random=0.35", holdout=1.0, label_noise=noise, test=0.05, seed=seed).run()
    shared = Rows((*found["forget"], *found["holdout"]), "shared")
    members = [*halves(shared, SHADOWS + TARGETS, seed), *[NONE] * RETRAINED]
    models = trained(members, found["retain"], seed, epochs=30)
    passed = [read(model, f"model-{i}", {"shared": shared}) for i, model in enumerate(models)]
    passed = [replace(one, rows={**one.rows, "members": own}) for one, own in zip(passed, members, strict=True)]
    return _World(shared, members, passed)


@cache
def targets(noise: float, seed: int) -> tuple[Evidence, ...]:
    """Return 4 targets trained on halves of 1,194 rows (forget; the other half is holdout), beside 32 shadow and 10 retrained models.

    `noise` is the share of wrong labels. Targets are trained as shadow models are, on halves of their own. The first 8 shadow models
    and the first 2 retrained ones are no other target's first.
    """
    first = SHADOWS + TARGETS
    retrained = [[first + (2 * i + j) % RETRAINED for j in range(RETRAINED)] for i in range(TARGETS)]
    return tuple(_world(noise, seed).judged(SHADOWS + i, i, retrained[i]) for i in range(TARGETS))


@cache
def controls(noise: float, seed: int) -> tuple[Evidence, ...]:
    """Return the 10 retrained models in the targets' place, on their splits in turn, each beside the shadow and the other 9 models."""
    first = SHADOWS + TARGETS
    others = [[first + (i + j) % RETRAINED for j in range(1, RETRAINED)] for i in range(RETRAINED)]
    return tuple(_world(noise, seed).judged(first + i, i % TARGETS, others[i]) for i in range(RETRAINED))


def with_shadows(models: Sequence[Evidence], count: int) -> list[Evidence]:
    """Return the evidence beside the first `count` shadow models alone."""
    return [replace(one, shadows={"halves": one.shadows["halves"][:count]} if count else {}) for one in models]


def with_retrained(models: Sequence[Evidence], count: int) -> list[Evidence]:
    """Return the evidence beside `count` retrained models and no shadow models."""
    return [replace(one, shadows={}, retrained=one.retrained[:count]) for one in models]


@dataclass(frozen=True)
class Found:
    """What an attack reached, (seeds, models): AUC, and the share of members found at 1% false positives."""

    auc: np.ndarray
    tpr: np.ndarray


def attacked(attack: Any, of: Callable[[int], Sequence[Evidence]], seeds: Sequence[int]) -> Found:
    """Return what an attack reached on each model of each seed."""
    outcomes = [[attack.run(one, NO_PROBE) for one in of(seed)] for seed in seeds]
    assert {one.unscored for row in outcomes for one in row} == {None}
    return Found(
        np.array([[auc(one.forget, one.holdout) for one in row] for row in outcomes]),
        np.array([[tpr_at_fpr(one.forget, one.holdout, 0.01).estimate for one in row] for row in outcomes]),
    )


def over(found: np.ndarray) -> Bounds:
    """Return the 95% interval over seeds of the mean over a seed's models, (seeds, models); of one seed that mean itself."""
    means = found.mean(1) if found.ndim == 2 else found
    if len(means) > 1:
        return mean_interval(means)
    return Bounds(estimate=means[0], low=means[0], high=means[0], smallest_visible=np.nan, n=1)


def shown(**found: Found | np.ndarray) -> None:
    """Print what attacks reached: over seeds, a seed, and over models."""
    for name, one in found.items():
        kinds = {"AUC": one.auc, "at 1%": one.tpr} if isinstance(one, Found) else {"": one}
        for kind, table in kinds.items():
            b, each = over(table), (table.mean(1) if table.ndim == 2 else table).round(3).tolist()
            print(f"{name} {kind}: {b.estimate:.3f} [{b.low:.3f}, {b.high:.3f}], {each}", end="")
            print(f", models {table.min():.3f} to {table.max():.3f}")


def see_nothing(*controls: Found) -> None:
    """Assert that an attack finds nothing where there is nothing to find: on retrained models."""
    for one in controls:
        assert np.abs(one.auc - 0.5).max() < 0.08
        assert over(one.auc).low > 0.45
        assert over(one.auc).high < 0.55
        assert over(one.tpr).high < 0.03


@dataclass(frozen=True)
class Removals:
    """What a method left of targets, and retrained models, beside shadow models of the two histories."""

    unlearned: tuple[Evidence, ...]
    controls: tuple[Evidence, ...]


@dataclass(frozen=True)
class _Before:
    splits: Mapping[str, Rows]
    whole: Sequence[Model]
    targets: Sequence[Model]
    without: Sequence[Evidence]


@cache
def _before(size: tuple[int, int], seed: int) -> _Before:
    pairs, removals = size
    found = Digits(forget="random=0.15", holdout=1.0, label_noise=0.2, test=0.05, seed=seed).run()
    splits = {"forget": found["forget"], "holdout": found["holdout"], "retain": found["retain"].take(range(600))}
    both = Rows((*splits["forget"], *splits["holdout"]))
    members = [*[both] * pairs, *[splits["forget"]] * removals, *[NONE] * (pairs + RETRAINED)]
    models = trained(members, splits["retain"], seed, epochs=40)
    judged = {split: splits[split] for split in ("forget", "holdout")}
    without = [read(model, f"retrained-{i}", judged) for i, model in enumerate(models[pairs + removals :])]
    return _Before(splits, models[:pairs], models[pairs : pairs + removals], without)


@cache
def removed(method: str, size: tuple[int, int], seed: int) -> Removals:
    """Return targets (256 forget rows, 256 holdout rows never seen) after a method, and 10 retrained models, each beside shadow pairs.

    `size` is how many pairs and targets. "do_nothing" leaves the models as they are. A fifth of the labels are wrong. Methods run at their
    defaults.
    """
    before = _before(size, seed)
    judged = {split: before.splits[split] for split in ("forget", "holdout")}
    both = Rows((*before.splits["forget"], *before.splits["holdout"]))

    def without(model: Model, forget: Rows, own: int) -> Model:
        if method == "do_nothing":
            return model
        given = Splits({"forget": forget, "retain": before.splits["retain"]})
        return unlearn(find("method", method).create(), model, given, job=Job(seed=own))[0]

    shadows = {
        "trained_then_unlearned": tuple(
            read(without(model, both, i), f"shadow-{i}", judged) for i, model in enumerate(before.whole)
        ),
        "retrained": tuple(before.without[: size[0]]),
    }
    unlearned = [
        read(without(model, judged["forget"], 500 + i), f"unlearned-{i}", judged)
        for i, model in enumerate(before.targets)
    ]
    return Removals(
        tuple(replace(one, shadows=shadows) for one in unlearned),
        tuple(replace(one, shadows=shadows) for one in before.without[size[0] :]),
    )
