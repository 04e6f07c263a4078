"""Hand-drawn characters of five alphabets and one of them to forget, with models retrained without it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
from classifiers import Measured, of_problem

from expunge.contract.splits import SPLITS, Splits
from expunge.facts.recipe import Recipe
from expunge.modalities.vision import Images, vision_model
from expunge.sources.omniglot import Omniglot
from expunge.testbeds.problem import train_problem

RECIPE = Recipe(epochs=25, lr=4e-3, batch_size=64)
"""That of the benchmark."""


@cache
def letters(data: Path, alphabet: int, seed: int) -> Measured:
    """The benchmark's CNN and recipe under a seed. Shared: change only copies."""
    torch.set_num_threads(1)
    found = Omniglot(data=str(data), forget=f"alphabet={alphabet}").run()
    splits = Splits.of(**{name: found[name] for name in SPLITS})
    blank = vision_model("cnn", images=Images(shape=(1, 21, 21)), classes=136, seed=seed, width=16, depth=2)
    recipe = RECIPE.model_copy(update={"seed": 10 * seed})
    return of_problem(train_problem("letters", splits, blank, recipe, retrained=10))
