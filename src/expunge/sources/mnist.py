"""MNIST from an npz file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from expunge.contract.about import About
from expunge.facts.errors import InputError
from expunge.facts.rows import Rows
from expunge.sources._images import check_shares, image_rows, image_splits, noisy, test_splits
from expunge.sources._label_groups import label_of_digit
from expunge.sources._mnist_file import read_mnist


@dataclass(frozen=True, kw_only=True)
class Mnist:
    """Read MNIST as 28x28 images in [0, 1], with a class, a random share or given rows to forget.

    On clean labels accuracy says nothing about random forgetting (a retrained model gets the forget rows right too); with label noise
    only a model trained on a row knows its wrong label. Noise falls on forget, retain and holdout alike, never on test.

    A class is what a model answers (`label`). With coarser `labels` rows bear the digit as `subclass`: subclass=3 takes one digit out of
    a class that stays. A model trained without it answers by likeness: its accuracy there, not 0, is where forgetting a subclass ends.

    Source: LeCun et al. 1998. Reads x_train, y_train, x_test and y_test (uint8) of one npz; nothing pickled.
    """

    about = About(
        needs=(),
        modalities=("vision",),
        claim="With label noise a model fits the labels it was trained on and misses those it was not.",
        paper="Gradient-Based Learning Applied to Document Recognition",
        link="https://doi.org/10.1109/5.726791",
        year=1998,
        differs=("Holdout rows are taken out of the training images; the test images serve utility.",),
        cost="about 1 s for 60,000 rows",
    )

    data: str = ""
    """Path of mnist.npz."""
    forget: str = "class=3"
    """Rows to forget: class=3, subclass=3, random=0.1 (of the training rows), sample=150 (rows) or ids=mnist-17,mnist-30."""
    labels: str = "digit"
    """What a model is to answer: digit, parity (even 0, odd 1), or groups of digits such as 01234,56789."""
    holdout: float = 0.5
    """Holdout rows a forget row, with the same labels, taken out of training; a class or subclass is shared out between the two."""
    holdout_ids: str = ""
    """Holdout rows by id, such as mnist-17,mnist-30, in place of drawn ones: so that other rows can be forgotten by the same target."""
    train_rows: int = 0
    """Training images to use, from the first on; 0 takes all."""
    label_noise: float = 0.0
    """Share of the training images whose label is replaced by a wrong one."""
    seed: int = 0
    """Which rows are drawn."""

    def __post_init__(self) -> None:
        label_of_digit(self.labels)
        check_shares(holdout=self.holdout, label_noise=self.label_noise)
        if self.train_rows < 0:
            raise ValueError(f"train_rows must be at least 0, not {self.train_rows}")

    def run(self) -> dict[str, Rows]:
        """Return forget, retain, holdout, test, and test_forget where a class or subclass is to be forgotten."""
        images, drawn, test_images, test_drawn = read_mnist(Path(self.data))
        used = self.train_rows or len(drawn)
        if used > len(drawn):
            raise InputError(f"{self.data} has {len(drawn)} training images, {used} were asked for")
        images, drawn = images[:used], drawn[:used]
        draw, label_of = np.random.default_rng(self.seed), label_of_digit(self.labels)
        labels, test_labels, coarse = label_of[drawn], label_of[test_drawn], self.labels != "digit"
        given = noisy(labels, self.label_noise, draw)
        rows = image_rows(images, given, labels, "mnist", subclasses=drawn if coarse else None)
        test = image_rows(
            test_images, test_labels, test_labels, "mnist-test", subclasses=test_drawn if coarse else None
        )
        found = image_splits(rows, self.forget, self.holdout, draw, self.holdout_ids)
        return {**found, **test_splits(test, self.forget)}
