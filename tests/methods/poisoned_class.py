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
from expunge.testbeds.poisoned import PoisonedDigits, poisoned_digits, recipe_of, untrained

SEEDS = (0, 1, 2, 3, 4)
"""Seeds of rows and targets that claims are reported on."""


@cache
def poisoned(seed: int, kind: str = "backdoor", network: str = "mlp") -> PoisonedDigits:
    """The problem of a seed; shared, so change only copies."""
    torch.set_num_threads(1)
    return poisoned_digits(seed, network=network, kind=kind)


@cache
def again(seed: int, known: float = 1.0, kind: str = "backdoor", network: str = "mlp") -> tuple[dict[str, float], ...]:
    """What is measured on ten models trained without the known rows."""
    of, seeds = poisoned(seed, kind, network), [1000 * (seed + 1) + i for i in range(10)]
    models = [untrained(one, network) for one in seeds]
    fit_many(models, [of.rows(known)["retain"]] * 10, [recipe_of(one, network) for one in seeds], job=Job())
    return tuple(measured(model, of) for model in models)


def mean_again(seed: int, known: float = 1.0, kind: str = "backdoor", network: str = "mlp") -> dict[str, float]:
    """The mean over the ten."""
    each = again(seed, known, kind, network)
    return {what: fmean(one[what] for one in each) for what in each[0]}


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


def backdoor_gap(model: Model, seed: int, network: str = "mlp") -> float:
    """How far the success of a seed's backdoor on a model lies from the mean of ten retrained without its 60 rows, in points."""
    return abs(
        measured(model, poisoned(seed, network=network))["success"] - mean_again(seed, network=network)["success"]
    )


def pruned_less_dense(locator: Any, network: str = "mlp") -> tuple[Bounds, Bounds]:
    """How much further fine-tuning ends by `backdoor_gap` from a pruned target than from a dense one, at two rates; all manipulated rows
    known."""
    found = []
    for lr in (1e-3, 5e-3):
        method = Finetune(descent=Descent(lr=lr, epochs=10))
        gaps = []
        for seed in SEEDS:
            of = poisoned(seed, network=network)
            splits = of.splits(1.0)
            masks = (None, locate(locator, of.target, splits))
            models = (unlearn(method, of.target, splits, job=Job(seed=seed, mask=mask))[0] for mask in masks)
            gaps.append([backdoor_gap(model, seed, network) for model in models])
        dense, pruned = zip(*gaps, strict=True)
        found.append(mean_interval(np.subtract(pruned, dense)))
        print(lr, mean_interval(dense), mean_interval(pruned), found[-1])
    return found[0], found[1]
