"""The digits problem of forgetting the threes over several targets: each with ten models retrained by the next seeds."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from classifiers import Measured, mean_interval, of_problem
from digits_class import Accuracies, accuracy, removed, retrained

from expunge.contract.apply import locate, unlearn
from expunge.contract.job import Job
from expunge.contract.mask import Mask
from expunge.contract.model import Model
from expunge.contract.registry import find
from expunge.statistics.bounds import Bounds
from expunge.testbeds.poisoned import SHAPES
from expunge.testbeds.problem import Problem
from expunge.testbeds.vision import CLASS_RECIPE, class_problem

REPORTED = (0, 20, 40, 60, 80)
"""Seeds of the targets that claims are reported on, further apart than ten retrained models; settings were chosen on seed 900."""


@cache
def digits_of(seed: int, network: str = "mlp") -> tuple[Problem, Accuracies]:
    """The problem whose target was trained under a seed, and its ten retrained models' mean accuracies; shared, so change only copies."""
    torch.set_num_threads(1)
    recipe = CLASS_RECIPE.model_copy(update={"seed": seed})
    problem = class_problem(network, recipe, retrained=10, **SHAPES[network])
    return problem, retrained(problem)


def untouched(network: str = "mlp") -> list[Accuracies]:
    """Of each reported target: doing nothing."""
    return [Accuracies.of(digits_of(seed, network)[0].target, digits_of(seed, network)[0]) for seed in REPORTED]


def over_targets(method: Any, network: str = "mlp") -> list[Accuracies]:
    """After the method, on each reported target and under its seed."""
    return [removed(method, digits_of(seed, network)[0], seed=seed) for seed in REPORTED]


def gaps(several: Sequence[Accuracies], network: str = "mlp") -> list[float]:
    """Of each reported target's accuracies, the gap to its own retrained models."""
    return [one.gap(digits_of(seed, network)[1]) for seed, one in zip(REPORTED, several, strict=True)]


@cache
def _measured(seed: int) -> Measured:
    return of_problem(digits_of(seed)[0])


def come_out(unit: Any, models: Sequence[Model] = ()) -> np.ndarray:
    """Share of the class that an attack gets out of each reported target's model (no models: of the target itself) at each budget."""
    every = [_measured(seed) for seed in REPORTED]
    of = models or [at.problem.target for at in every]
    name = "unlearned" if models else "target"
    return np.array(
        [[share for _, share in at.attack(unit, model, name).curve] for at, model in zip(every, of, strict=True)]
    )


RATES = tuple(1e-4 * 2 ** (i / 2) for i in range(12))
"""Learning rates from one at which nothing is forgotten in ten passes (seeds 900 and 920) to one at which ascent leaves nothing."""


def at_rate(rate: float, method: str, locator: str = "", ratio: float = 0.0, **settings: float) -> list[Model]:
    """Of each reported target: the model after ten passes of the method at a learning rate, on all weights or a locator's share of them."""
    unit, found = find("method", method).create({"lr": rate, "epochs": 10, **settings}), []
    for seed in REPORTED:
        problem, _ = digits_of(seed)
        job = Job(seed=seed, mask=_mask(locator, ratio, seed) if locator else None)
        found.append(unlearn(unit, problem.target, problem.splits, job=job)[0])
    return found


@cache
def _mask(locator: str, ratio: float, seed: int) -> Mask:
    problem, _ = digits_of(seed)
    return locate(find("locator", locator).create({"ratio": ratio}), problem.target, problem.splits, job=Job(seed=seed))


@cache
def gentlest(method: str, *, most: float = 5.0, **given: Any) -> list[Model]:
    """Of each reported target: the model at the lowest rate that leaves at most `most` percent of the class.

    So that methods are compared at equal forgetting. Takes what `at_rate` takes.
    """
    found: dict[int, Model] = {}
    for rate in RATES:
        models = at_rate(rate, method, **given)
        for seed, model, left in zip(REPORTED, models, kept(models, "forget"), strict=True):
            if left <= most:
                found.setdefault(seed, model)
        if len(found) == len(REPORTED):
            return [found[seed] for seed in REPORTED]
    pytest.fail(f"{method} leaves more than {most}% of the threes at every rate")


def kept(models: Sequence[Model], split: str = "retain") -> np.ndarray:
    """Accuracy in percent of each reported target's model on a split of its problem."""
    pairs = zip(REPORTED, models, strict=True)
    return np.array([accuracy(model, digits_of(seed)[0].splits.rows[split]) for seed, model in pairs])


def more_kept(one: Sequence[Model], other: Sequence[Model], split: str = "retain") -> Bounds:
    """Interval over the reported targets of how many points more of a split one is right on than another."""
    found = mean_interval(kept(one, split) - kept(other, split))
    print(split, kept(one, split).round(1), kept(other, split).round(1), found)
    return found
