"""scikit-learn's digits: 1,797 real handwritten digits of 8x8 pixels, inside the installed package."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from expunge.contract.about import About
from expunge.facts.rows import Rows
from expunge.sources._images import check_shares, image_rows, image_splits, noisy, test_splits
from expunge.sources._label_groups import label_of_digit


@dataclass(frozen=True, kw_only=True)
class Digits:
    """Read the 8x8 digits as images in [0, 1], with a class, a random share or given rows to forget.

    On clean labels accuracy says nothing about random forgetting (a retrained model gets the forget rows right too); with label noise
    only a model trained on a row knows its wrong label. Noise falls on forget, retain and holdout alike, never on test.

    A class is what a model answers (`label`). With coarser `labels` rows bear the digit as `subclass`: subclass=3 takes one digit out of
    a class that stays. A model trained without it answers by likeness: on an mlp of width 64 it is right on 77 to 82% of threes by parity
    and on 1 to 5% in 01234,56789, on 6 to 8% and 40 to 51% of eights. That, not 0, is where forgetting a subclass ends.

    Source: Alpaydin and Kaynak 1998 (UCI optical digits, test part), as packed in scikit-learn.
    """

    about = About(
        needs=(),
        modalities=("vision",),
        claim="With label noise a model fits the labels it was trained on and misses those it was not.",
        paper="Optical Recognition of Handwritten Digits",
        link="https://doi.org/10.24432/C50P49",
        year=1998,
        cost="milliseconds",
    )

    forget: str = "class=3"
    """Rows to forget: class=3, subclass=3, random=0.1 (of the training rows), sample=150 (rows) or ids=digits-17,digits-30."""
    labels: str = "digit"
    """What a model is to answer: digit, parity (even 0, odd 1), or groups of digits such as 01234,56789."""
    holdout: float = 0.5
    """Holdout rows a forget row, with the same labels, taken out of training; a class or subclass is shared out between the two."""
    holdout_ids: str = ""
    """Holdout rows by id, such as digits-17,digits-30, in place of drawn ones: so that other rows can be forgotten by the same target."""
    test: float = 0.2
    """Share of all rows kept for utility."""
    label_noise: float = 0.0
    """Share of the rows outside test whose label is replaced by a wrong one."""
    seed: int = 0
    """Which rows are drawn."""

    def __post_init__(self) -> None:
        label_of_digit(self.labels)
        check_shares(holdout=self.holdout, label_noise=self.label_noise)
        if not 0 < self.test < 1:
            raise ValueError(f"test must lie between 0 and 1, not {self.test}")

    def run(self) -> dict[str, Rows]:
        """Return forget, retain, holdout, test, and test_forget where a class or subclass is to be forgotten."""
        from sklearn.datasets import load_digits

        data = load_digits()
        images, drawn = (data.images / 16).astype(np.float32), data.target.astype(np.int64)
        labels = label_of_digit(self.labels)[drawn]
        draw = np.random.default_rng(self.seed)
        order = draw.permutation(len(labels))
        test, rest = (np.sort(part) for part in np.split(order, [round(self.test * len(labels))]))
        given = labels.copy()
        given[rest] = noisy(labels[rest], self.label_noise, draw)
        coarse = None if self.labels == "digit" else drawn
        rows = image_rows(images, given, labels, "digits", subclasses=coarse)
        found = image_splits([rows[i] for i in rest], self.forget, self.holdout, draw, self.holdout_ids)
        return {**found, **test_splits([rows[i] for i in test], self.forget)}
