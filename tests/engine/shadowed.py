"""Worlds on real digits in which it is known who was a member; targets, shadow models and retrained models are trained in one loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import torch

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
from expunge.testbeds.vision import IMAGES

NO_PROBE: Any = None
SHADOWS, TARGETS, RETRAINED = 32, 4, 2
PAIRS, REMOVALS = 8, 3
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


@cache
def targets(seed: int, noise: float) -> tuple[Evidence, ...]:
    """Return targets trained on halves of 1,194 rows (forget; the other half is holdout), beside 32 shadow and 2 retrained models.

    `noise` is the share of wrong labels. Targets are trained as shadow models are, on halves of their own.
    """
    found = Digits(forget="random=0.35", holdout=1.0, label_noise=noise, test=0.05, seed=seed).run()
    shared = Rows((*found["forget"], *found["holdout"]), "shared")
    members = [*halves(shared, SHADOWS + TARGETS, seed), *[NONE] * RETRAINED]
    models = trained(members, found["retain"], seed, epochs=30)
    passed = [read(model, f"model-{i}", {"shared": shared}) for i, model in enumerate(models)]
    passed = [replace(one, rows={**one.rows, "members": own}) for one, own in zip(passed, members, strict=True)]

    def target(i: int) -> Evidence:
        inside = set(members[i].ids)
        splits = {
            "forget": shared.take([j for j, row in enumerate(shared.ids) if row in inside]),
            "holdout": shared.take([j for j, row in enumerate(shared.ids) if row not in inside]),
        }
        beside = [parted(one, splits) for one in passed]
        return replace(beside[i], shadows={"halves": tuple(beside[:SHADOWS])}, retrained=tuple(beside[-RETRAINED:]))

    return tuple(target(SHADOWS + i) for i in range(TARGETS))


def with_shadows(one: Evidence, count: int) -> Evidence:
    """Return the evidence beside the first `count` shadow models alone."""
    return replace(one, shadows={"halves": one.shadows["halves"][:count]} if count else {})


def with_retrained(one: Evidence, count: int) -> Evidence:
    """Return the evidence beside `count` retrained models and no shadow models."""
    return replace(one, shadows={}, retrained=one.retrained[:count])


@dataclass(frozen=True)
class Found:
    """What an attack reached on each of several models: AUC, and the share of members found at 1% false positives."""

    auc: np.ndarray
    tpr: np.ndarray


def attacked(attack: Any, models: Sequence[Evidence]) -> Found:
    """Return what an attack reached on each model."""
    outcomes = [attack.run(one, NO_PROBE) for one in models]
    assert [one.unscored for one in outcomes] == [None] * len(models)
    return Found(
        np.array([auc(one.forget, one.holdout) for one in outcomes]),
        np.array([tpr_at_fpr(one.forget, one.holdout, 0.01).estimate for one in outcomes]),
    )


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
def _before(seed: int) -> _Before:
    found = Digits(forget="random=0.15", holdout=1.0, label_noise=0.2, test=0.05, seed=seed).run()
    splits = {"forget": found["forget"], "holdout": found["holdout"], "retain": found["retain"].take(range(600))}
    both = Rows((*splits["forget"], *splits["holdout"]))
    members = [*[both] * PAIRS, *[splits["forget"]] * REMOVALS, *[NONE] * (PAIRS + REMOVALS)]
    models = trained(members, splits["retain"], seed, epochs=40)
    judged = {split: splits[split] for split in ("forget", "holdout")}
    without = [read(model, f"retrained-{i}", judged) for i, model in enumerate(models[PAIRS + REMOVALS :])]
    return _Before(splits, models[:PAIRS], models[PAIRS : PAIRS + REMOVALS], without)


@cache
def removed(method: str, seed: int) -> Removals:
    """Return 3 targets (256 forget rows, 256 holdout rows never seen) after a method, and 3 retrained models, each beside 8 shadow pairs.

    "do_nothing" leaves the models as they are. A fifth of the labels are wrong. Methods run at their defaults.
    """
    before = _before(seed)
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
        "retrained": tuple(before.without[:PAIRS]),
    }
    unlearned = [
        read(without(model, judged["forget"], 500 + i), f"unlearned-{i}", judged)
        for i, model in enumerate(before.targets)
    ]
    return Removals(
        tuple(replace(one, shadows=shadows) for one in unlearned),
        tuple(replace(one, shadows=shadows) for one in before.without[PAIRS:]),
    )
