"""A random tenth of the digits to forget, with clean labels or with a fifth of them wrong, over several targets."""

from __future__ import annotations

from functools import cache

import torch
from digits_class import Accuracies, retrained

from expunge.contract.splits import SPLITS, Splits
from expunge.facts.recipe import Recipe
from expunge.modalities.vision import vision_model
from expunge.sources.digits import Digits
from expunge.testbeds.problem import Problem, train_problem
from expunge.testbeds.vision import IMAGES

REPORTED = (0, 20, 40, 60, 80)
"""Seeds of rows and targets, apart by more than ten retrainings; settings were chosen on seed 900."""


@cache
def digits_random(seed: int, wrong: float) -> tuple[Problem, Accuracies]:
    """The problem with a share of wrong labels and the mean accuracies of its ten retrained models; shared, so change only copies."""
    torch.set_num_threads(1)
    found = Digits(forget="random=0.1", label_noise=wrong, holdout=1.0, seed=seed).run()
    untrained = vision_model("mlp", images=IMAGES, classes=10, seed=1000 * seed, width=128, depth=1)
    recipe = Recipe(epochs=40, lr=4e-3, batch_size=64, seed=seed)
    problem = train_problem(
        "digits-random", Splits.of(**{name: found[name] for name in SPLITS}), untrained, recipe, retrained=10
    )
    return problem, retrained(problem)
