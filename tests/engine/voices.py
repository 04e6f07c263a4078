"""Spoken digits and a speaker to forget, told as digits or as odd and even, with models retrained without the speaker."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
from classifiers import Measured, of_problem

from expunge.contract.splits import SPLITS, Splits
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Rows
from expunge.modalities.vision import Images, vision_model
from expunge.sources.fsdd import Fsdd
from expunge.testbeds.problem import train_problem

RECIPE = Recipe(epochs=12, lr=4e-3, batch_size=64)
"""That of the benchmark."""


@cache
def voices(data: Path, speaker: int, seed: int, classes: int = 10) -> Measured:
    """The benchmark's CNN and recipe under a seed; of two classes the label is the digit's parity. Shared: change only copies."""
    torch.set_num_threads(1)
    found = Fsdd(data=str(data), forget=f"speaker={speaker}", seed=seed).run()
    splits = Splits.of(
        **{name: Rows(tuple(row.replace(label=row["label"] % classes) for row in found[name]), name) for name in SPLITS}
    )
    blank = vision_model("cnn", images=Images(shape=(1, 32, 32)), classes=classes, seed=seed, width=8, depth=3)
    recipe = RECIPE.model_copy(update={"seed": 10 * seed})
    return of_problem(train_problem("voices", splits, blank, recipe, retrained=10))
