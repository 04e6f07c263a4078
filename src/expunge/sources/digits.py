"""scikit-learn's digits: 1,797 real handwritten digits of 8x8 pixels, inside the installed package."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from expunge.contract.about import About
from expunge.facts.rows import Rows
from expunge.sources._images import check_shares, image_rows, image_splits, noisy, test_splits


@dataclass(frozen=True, kw_only=True)
class Digits:
    """Read the 8x8 digits as images in [0, 1], with a class, a random share or given rows to forget.

    On clean labels accuracy says nothing about random forgetting (a retrained model gets the forget rows right too); with label noise
    only a model trained on a row knows its wrong label. Noise falls on forget, retain and holdout alike, never on test.

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
    """Rows to forget: class=3, random=0.1 (of the training rows), sample=150 (rows) or ids=digits-17,digits-30."""
    holdout: float = 0.5
    """Holdout rows a forget row, with the same labels, taken out of training; a class is shared out between the two."""
    test: float = 0.2
    """Share of all rows kept for utility."""
    label_noise: float = 0.0
    """Share of the rows outside test whose label is replaced by a wrong one."""
    seed: int = 0
    """Which rows are drawn."""

    def __post_init__(self) -> None:
        check_shares(holdout=self.holdout, label_noise=self.label_noise)
        if not 0 < self.test < 1:
            raise ValueError(f"test must lie between 0 and 1, not {self.test}")

    def run(self) -> dict[str, Rows]:
        """Return forget, retain, holdout, test, and test_forget where a class is to be forgotten."""
        from sklearn.datasets import load_digits

        data = load_digits()
        images, labels = (data.images / 16).astype(np.float32), data.target.astype(np.int64)
        draw = np.random.default_rng(self.seed)
        order = draw.permutation(len(labels))
        test, rest = (np.sort(part) for part in np.split(order, [round(self.test * len(labels))]))
        given = labels.copy()
        given[rest] = noisy(labels[rest], self.label_noise, draw)
        rows = image_rows(images, given, labels, "digits")
        found = image_splits([rows[i] for i in rest], self.forget, self.holdout, draw)
        return {**found, **test_splits([rows[i] for i in test], self.forget)}
