"""Backdoored digits for the claims of methods: 60 of 1,257 training rows bear a patch and the label 0, a tenth of them known."""

from __future__ import annotations

from functools import cache
from statistics import fmean
from typing import Any

import numpy as np
import torch
from classifiers import mean_interval

from expunge.contract.apply import locate, unlearn
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.engine.descend import Descent
from expunge.engine.fit_many import fit_many
from expunge.facts.rows import Rows
from expunge.methods.finetune import Finetune
from expunge.statistics.bounds import Bounds
from expunge.testbeds.poisoned import RECIPE, PoisonedDigits, poisoned_digits, untrained

SEEDS = (0, 1, 2, 3, 4)
"""Seeds of rows and targets that claims are reported on."""


@cache
def poisoned(seed: int, kind: str = "backdoor") -> PoisonedDigits:
    """The problem of a seed; shared, so change only copies."""
    torch.set_num_threads(1)
    return poisoned_digits(seed, kind=kind)


@torch.no_grad()
def share(model: Model, rows: Rows, field: str = "label") -> float:
    """Share of rows, in percent, answered with what a field says."""
    answers = model.logits(model.pack(rows)).argmax(-1).tolist()
    return 100 * sum(answer == row[field] for answer, row in zip(answers, rows, strict=True)) / len(rows)


def measured(model: Model, of: PoisonedDigits) -> dict[str, float]:
    """Clean accuracy, corrected accuracy, and the share answered as the manipulation wants, in percent."""
    return {
        "clean": share(model, of.rows(1.0)["test"]),
        "corrected": share(model, of.affected),
        "success": share(model, of.affected, "attacker_label"),
    }


def after(method: Any, of: PoisonedDigits, known: float = 0.1) -> tuple[dict[str, float], dict[str, Any]]:
    """What is measured after a method, and what it noted."""
    job = Job(seed=of.seed)
    model, _ = unlearn(method, of.target, of.splits(known), job=job)
    return measured(model, of), job.notes


@cache
def retrained_success(seed: int) -> float:
    """Mean success of ten models retrained without the 60 backdoored rows of a seed, in percent."""
    seeds = [1000 * (seed + 1) + i for i in range(10)]
    models = [untrained(one) for one in seeds]
    recipes = [RECIPE.model_copy(update={"seed": one}) for one in seeds]
    fit_many(models, [poisoned(seed).rows(1.0)["retain"]] * 10, recipes, job=Job())
    return fmean(measured(model, poisoned(seed))["success"] for model in models)


def backdoor_gap(model: Model, seed: int) -> float:
    """How far the success of a seed's backdoor on a model lies from that on retrained models, in points."""
    return abs(measured(model, poisoned(seed))["success"] - retrained_success(seed))


def pruned_less_dense(locator: Any) -> tuple[Bounds, Bounds]:
    """How much further fine-tuning ends by `backdoor_gap` from a pruned target than from a dense one, at two rates; all manipulated rows
    known."""
    found = []
    for lr in (1e-3, 5e-3):
        method = Finetune(descent=Descent(lr=lr, epochs=10))
        gaps = []
        for seed in SEEDS:
            of = poisoned(seed)
            splits = of.splits(1.0)
            masks = (None, locate(locator, of.target, splits))
            models = (unlearn(method, of.target, splits, job=Job(seed=seed, mask=mask))[0] for mask in masks)
            gaps.append([backdoor_gap(model, seed) for model in models])
        dense, pruned = zip(*gaps, strict=True)
        found.append(mean_interval(np.subtract(pruned, dense)))
        print(lr, mean_interval(dense), mean_interval(pruned), found[-1])
    return found[0], found[1]
