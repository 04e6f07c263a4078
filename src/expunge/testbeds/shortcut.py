"""Digits with a planted shortcut, and models that had no reason to learn it: what rewriting a decision is tried on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import SPLITS, Splits
from expunge.engine.confounders import attributions
from expunge.engine.fit import fit
from expunge.engine.fit_many import fit_many
from expunge.facts.rows import Rows
from expunge.sources.shortcut import Shortcut
from expunge.testbeds.poisoned import untrained
from expunge.testbeds.vision import CLASS_RECIPE

MODELS = 10
"""Shortcut-free models of a problem, and retrained ones."""


def everything(rows: Mapping[str, Rows]) -> Rows:
    """Return the rows that the target trains on, in the order of their ids."""
    return Rows(tuple(sorted((*rows["forget"], *rows["retain"]), key=lambda row: row.id)), "train")


def trained(rows: Rows, seed: int) -> Model:
    """Return the MLP 64-256-256-10 trained on `rows` from newly drawn weights."""
    return fit(
        untrained(seed), rows, CLASS_RECIPE.model_copy(update={"seed": seed}), job=Job(seed=seed), label="shortcut"
    )


def ten(rows: Rows, seed: int) -> tuple[Model, ...]:
    """Return ten such models trained together, of seeds that no target and no other problem of a seed below 1000 has."""
    seeds = [1000 * (seed + 1) + i for i in range(MODELS)]
    models = [untrained(one) for one in seeds]
    fit_many(models, [rows] * MODELS, [CLASS_RECIPE.model_copy(update={"seed": one}) for one in seeds], job=Job())
    return tuple(models)


@dataclass(frozen=True, kw_only=True)
class ShortcutDigits:
    """A target trained on forget and retain rows of a seed; it decides which rows show the patch, the weights and the order of training."""

    seed: int
    settings: Mapping[str, Any]
    rows: Mapping[str, Rows]
    target: Model

    @property
    def splits(self) -> Splits:
        """Forget, retain, holdout and test."""
        return Splits.of(**{name: self.rows[name] for name in SPLITS})

    @cached_property
    def free(self) -> tuple[Model, ...]:
        """Ten shortcut-free models: of the same images, about as many of them with a patch, drawn without regard to the label."""
        train = everything(self.rows)
        share = sum("patched" in row.fields for row in train) / len(train)
        even = Shortcut(seed=self.seed, **{**self.settings, "share": share, "elsewhere": share, "holdout": 0.0}).run()
        own = set(train.ids)
        return ten(Rows(tuple(row for row in everything(even) if row.id in own), "train"), self.seed)

    @cached_property
    def retrained(self) -> tuple[Model, ...]:
        """Ten models of the retain rows alone, none of which has a patch (few of them bear its label)."""
        return ten(self.rows["retain"], self.seed)


def shortcut_digits(seed: int = 0, **settings: Any) -> ShortcutDigits:
    """Return the problem of one seed."""
    rows = Shortcut(seed=seed, **settings).run()
    return ShortcutDigits(seed=seed, settings=settings, rows=rows, target=trained(everything(rows), seed))


def accuracy(model: Model, rows: Rows) -> float:
    """Return the share of rows whose label is the arg-max, in percent."""
    with torch.no_grad():
        batch = model.pack(rows)
        return 100 * float((model.logits(batch).argmax(-1) == batch.targets).float().mean())


def patch_saliency(model: Model, rows: Rows, *, label: int, patch: int = 2) -> float:
    """Return the share of |gradient x input| of a label's logit that lies on the patch, mean over rows, in percent."""
    found = abs(attributions(model, rows, [label] * len(rows), job=Job()))
    side = round(found.shape[1] ** 0.5)
    mass = found.reshape(len(found), side, side)
    return 100 * float((mass[:, -patch:, -patch:].sum((1, 2)) / mass.sum((1, 2))).mean())
