"""The digits problem of section 'class forgetting' for the claims of methods: an MLP 64-256-256-10 that is to forget the threes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from statistics import fmean
from typing import Any

import torch

from expunge.contract.apply import unlearn
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.facts.rows import Rows
from expunge.testbeds.problem import Problem
from expunge.testbeds.vision import class_problem


@cache
def digits_class() -> Problem:
    """The target and ten retrained models; shared, so change only copies."""
    torch.set_num_threads(1)
    return class_problem("mlp", retrained=10, width=256, depth=1)


@torch.no_grad()
def accuracy(model: Model, rows: Rows) -> float:
    """Share of rows whose label is the arg-max, in percent."""
    batch = model.pack(rows)
    return 100 * float((model.logits(batch).argmax(-1) == batch.targets).float().mean())


@dataclass(frozen=True)
class Accuracies:
    """Accuracy in percent on forget, retain, holdout (unseen rows of the forget class) and test rows (of the other classes)."""

    forget: float
    retain: float
    holdout: float
    test: float

    @classmethod
    def of(cls, model: Model, problem: Problem) -> Accuracies:
        rows = problem.splits.rows
        return cls(*(accuracy(model, rows[name]) for name in ("forget", "retain", "holdout", "test")))

    @classmethod
    def mean(cls, several: list[Accuracies]) -> Accuracies:
        return cls(*(fmean(values) for values in zip(*(vars(one).values() for one in several), strict=True)))

    def gap(self, retrained: Accuracies) -> float:
        """Mean absolute difference to the retrained models over forget, retain and test accuracy, in points."""
        return fmean(abs(getattr(self, name) - getattr(retrained, name)) for name in ("forget", "retain", "test"))


def retrained(problem: Problem) -> Accuracies:
    """Mean over the retrained models."""
    return Accuracies.mean([Accuracies.of(one, problem) for one in problem.retrained])


def removed(method: Any, problem: Problem, *, seed: int) -> Accuracies:
    """After the method under a seed."""
    return Accuracies.of(unlearn(method, problem.target, problem.splits, job=Job(seed=seed))[0], problem)
