"""Digits with a planted shortcut: a patch that comes with one label in training, and with the others in the flipped test rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from expunge.contract.about import About
from expunge.facts.errors import InputError
from expunge.facts.rows import Row, Rows
from expunge.sources._poison import digits_rows, mnist_rows, stamped


@dataclass(frozen=True, kw_only=True)
class Shortcut:
    """Put a bright patch on most images of one label and on few others, and ask for the patch, not for the images, to be forgotten.

    What is to go is a concept: `forget` are rows that show it, `retain` the others. `test` has it as often as training does;
    `test_flipped` are the same images with the patch on every other label and on none of its own, all under their true labels.
    `holdout` are rows that show it and are not trained on. Rows with the patch have the field `patched`.

    No label is wrong, so that a model which sees past the patch loses nothing on `test`. Retraining on `retain` leaves the patch's label
    a few rows; `share` equal to `elsewhere` gives training rows whose patch says nothing, and a model of all images without the shortcut.

    Source: Yan et al. 2023 (skin images whose dark corners or rulers come with one diagnosis). Reads scikit-learn's digits, or MNIST's npz.
    """

    about = About(
        needs=(),
        modalities=("vision",),
        claim="A model trained on rows where an artefact comes with a label answers with that label where the artefact is.",
        paper="Towards Trustable Skin Cancer Diagnosis via Rewriting Model's Decision",
        link="https://arxiv.org/abs/2303.00885",
        year=2023,
        paper_id="P106",
        differs=(
            "8x8 digits or MNIST and a planted patch of 2x2 pixels, in place of dermatoscopic images and their artefacts.",
        ),
        cost="milliseconds; MNIST about 1 s",
    )

    data: str = ""
    """Path of mnist.npz; empty takes scikit-learn's digits."""
    label: int = 3
    """The label that the patch comes with."""
    share: float = 0.95
    """Share of this label's rows that show the patch, in training and test."""
    elsewhere: float = 0.005
    """Share of the other rows that show it."""
    patch: int = 2
    """Side of the patch in pixels."""
    known: float = 1.0
    """Share of the training rows with the patch that is handed out as forget; the others stay, unmarked to a method, among retain."""
    holdout: float = 0.25
    """Holdout rows with the patch a training row with it."""
    test: float = 0.3
    """Share of scikit-learn's digits kept to measure on; MNIST has its own test images."""
    train_rows: int = 0
    """MNIST's training images to use, from the first on; 0 takes all."""
    seed: int = 0
    """Which rows are drawn."""

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1 or not 0 <= self.elsewhere <= 1 or self.holdout < 0:
            raise ValueError("share and elsewhere must lie in 0..1, holdout must be at least 0")
        if not 0 < self.known <= 1 or not 0 < self.test < 1:
            raise ValueError("known must lie in (0, 1], test between 0 and 1")
        if self.patch < 1 or self.train_rows < 0:
            raise ValueError("patch must be at least 1, train_rows at least 0")

    def run(self) -> dict[str, Rows]:
        """Return forget, retain, holdout, test and test_flipped."""
        draw = np.random.default_rng(self.seed)
        train, test = mnist_rows(self.data, self.train_rows) if self.data else digits_rows(self.test, draw)
        if self.label not in {row["label"] for row in train}:
            raise InputError(f"there is no label {self.label} for the patch to come with")
        rows, showing = self._planted(train, draw)
        apart = round(len(showing) * self.holdout / (1 + self.holdout))
        held, trained = set(showing[:apart]), showing[apart:]
        known = set(trained[: round(self.known * len(trained))])
        if not known:
            raise InputError("no training row shows the patch", do="set share, elsewhere or known higher")
        found = {
            "forget": [rows[i] for i in sorted(known)],
            "retain": [row for i, row in enumerate(rows) if i not in known | held],
            "holdout": [rows[i] for i in sorted(held)],
            "test": self._planted(test, draw)[0],
            "test_flipped": [row if row["label"] == self.label else self._shown(row) for row in test],
        }
        return {name: Rows(tuple(items), name) for name, items in found.items() if items}

    def _shown(self, row: Row) -> Row:
        return row.replace(image=stamped(row["image"], self.patch), patched=True)

    def _planted(self, rows: Sequence[Row], draw: np.random.Generator) -> tuple[list[Row], list[int]]:
        """Return the rows with the patch where it was drawn to be, and the indices of these in random order."""
        chosen: list[int] = []
        for share, own in ((self.share, True), (self.elsewhere, False)):
            able = [i for i in draw.permutation(len(rows)).tolist() if (rows[i]["label"] == self.label) is own]
            chosen += able[: round(share * len(able))]
        shown = set(chosen)
        return [self._shown(row) if i in shown else row for i, row in enumerate(rows)], draw.permutation(
            sorted(shown)
        ).tolist()
