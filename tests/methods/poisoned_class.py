"""Backdoored digits for the claims of methods: 60 of 1,257 training rows bear a patch and the label 0, a tenth of them known."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch

from expunge.contract.apply import locate, unlearn
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.engine.descend import Descent
from expunge.facts.rows import Rows
from expunge.methods.finetune import Finetune
from expunge.testbeds.poisoned import PoisonedDigits, poisoned_digits


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


def backdoor_after_finetuning(locator: Any, seed: int) -> dict[tuple[str, float], float]:
    """Success of a backdoor whose rows are all known, in percent, after fine-tuning at two rates, dense and pruned by a locator."""
    of = poisoned(seed)
    splits, found = of.splits(1.0), {}
    for lr in (1e-3, 5e-3):
        for name, mask in (("dense", None), ("pruned", locate(locator, of.target, splits))):
            method = Finetune(descent=Descent(lr=lr, epochs=10))
            model, _ = unlearn(method, of.target, splits, job=Job(seed=seed, mask=mask))
            found[name, lr] = measured(model, of)["success"]
    return found
