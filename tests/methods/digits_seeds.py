"""The digits problem of forgetting the threes over several targets: each with ten models retrained by the next seeds."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from digits_class import Accuracies, removed, retrained

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
