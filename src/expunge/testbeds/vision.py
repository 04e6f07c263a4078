"""Image problems on real 8x8 digits: a class to forget, and mislabelled rows that only a model trained on them knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from expunge.contract.splits import SPLITS, Splits
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Rows
from expunge.modalities.vision import Images, vision_model
from expunge.sources.digits import Digits
from expunge.testbeds.problem import Problem, train_problem

CLASS = 3
IMAGES = Images(shape=(1, 8, 8), mean=(0.3,), std=(0.38,))
"""Round numbers near the digits' mean and spread: fixed, so that no row was seen to choose them."""
CLASS_RECIPE = Recipe(epochs=10, lr=6e-3, batch_size=64)
NOISE_RECIPE = Recipe(epochs=30, lr=6e-3, batch_size=64)


def _splits(found: Mapping[str, Rows]) -> Splits:
    return Splits.of(**{name: found[name] for name in SPLITS})


def class_problem(
    network: str = "cnn", recipe: Recipe = CLASS_RECIPE, *, retrained: int = 3, **arguments: Any
) -> Problem:
    """Return the problem of forgetting the threes: a retrained model never answers 3, the target always does.

    The test rows hold no threes: utility is what must stay.
    """
    found = Digits(forget=f"class={CLASS}").run()
    untrained = vision_model(network, images=IMAGES, classes=10, seed=100, **arguments)
    return train_problem("digits-class", _splits(found), untrained, recipe, retrained=retrained)


def subclass_problem(
    network: str = "cnn", *, labels: str = "01234,56789", subclass: int = 8, retrained: int = 3, **arguments: Any
) -> Problem:
    """Return the problem of forgetting one digit from within a label that stays.

    A retrained model answers some of the digit right by its likeness to others: its accuracy there, not 0, is where forgetting ends.
    """
    found = Digits(forget=f"subclass={subclass}", labels=labels).run()
    classes = 1 + max(row["label"] for row in found["retain"])
    untrained = vision_model(network, images=IMAGES, classes=classes, seed=100, **arguments)
    return train_problem("digits-subclass", _splits(found), untrained, CLASS_RECIPE, retrained=retrained)


def noise_problem(*, retrained: int = 3) -> Problem:
    """Return the problem of forgetting a random tenth of rows of which a fifth carry a wrong label.

    On clean digits a retrained model gets random forget rows right too, and doing nothing looks perfect. A wrong label is known
    only by a model trained on it. Holdout rows are as noisy as forget rows; test rows are clean.
    """
    found = Digits(forget="random=0.1", label_noise=0.2, holdout=1.0).run()
    untrained = vision_model("cnn", images=IMAGES, classes=10, seed=100)
    return train_problem("digits-noise", _splits(found), untrained, NOISE_RECIPE, retrained=retrained)
