"""The digits problem of forgetting the threes over several targets: each with one model retrained by the next seed."""

from __future__ import annotations

from functools import cache

import torch
from digits_class import Accuracies, retrained

from expunge.testbeds.problem import Problem
from expunge.testbeds.vision import CLASS_RECIPE, class_problem

REPORTED = (0, 10, 20)
"""Seeds of the targets that claims are reported on; settings were chosen on the target of seed 900."""


@cache
def digits_of(seed: int) -> tuple[Problem, Accuracies]:
    """The problem whose target was trained under a seed, and its retrained model's accuracies; shared, so change only copies."""
    torch.set_num_threads(1)
    recipe = CLASS_RECIPE.model_copy(update={"seed": seed})
    problem = class_problem("mlp", recipe, retrained=1, width=256, depth=1)
    return problem, retrained(problem)
