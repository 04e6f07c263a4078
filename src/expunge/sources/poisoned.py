"""Digits of which some training rows were manipulated, and only a part of these is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from expunge.contract.about import About
from expunge.facts.errors import InputError
from expunge.facts.rows import Rows
from expunge.sources._poison import backdoor, confusion, digits_rows, mnist_rows

KINDS = ("backdoor", "confusion")


@dataclass(frozen=True, kw_only=True)
class Poisoned:
    """Manipulate some training images, hand out a share `known` of them to forget, and leave the rest among the retain rows.

    `backdoor`: a bright patch in the lower right corner and the label `target`; `test_triggered` has the test images of every other
    class with the patch and their true labels. `confusion`: the labels of two classes exchanged; `test_confused` has these classes' test
    images, and `test` those of the others. Each manipulated row keeps `clean_label`; it and each row made to measure what is left has
    `attacker_label`, the answer that the manipulation wants.

    The manipulated rows are the same whatever share is known, and a larger share holds the smaller one: one target for a whole curve.
    A model trained without the known rows still sees the others, so that here the retrained model is not the aim.

    Source: Goel et al. 2024. Reads scikit-learn's digits, or MNIST's npz where one is given.
    """

    about = About(
        needs=(),
        modalities=("vision",),
        claim="Retraining without the known rows leaves the backdoor until nearly all manipulated rows are known.",
        paper="Corrective Machine Unlearning",
        link="https://arxiv.org/abs/2402.14015",
        year=2024,
        paper_id="P012",
        differs=(
            "8x8 digits or MNIST in place of CIFAR; the patch is of 2x2 pixels at full brightness in the corner, where digits have none.",
        ),
        cost="milliseconds; MNIST about 1 s",
    )

    data: str = ""
    """Path of mnist.npz; empty takes scikit-learn's digits."""
    kind: str = "backdoor"
    """backdoor or confusion."""
    poisoned: int = 60
    """Training rows that are manipulated."""
    known: float = 0.1
    """Share of the manipulated rows that is known and asked to be forgotten."""
    target: int = 0
    """Label that the backdoor gives."""
    patch: int = 2
    """Side of the trigger in pixels."""
    pair: str = "3,8"
    """The two classes whose labels are exchanged."""
    test: float = 0.3
    """Share of scikit-learn's digits kept to measure on; MNIST has its own test images."""
    train_rows: int = 0
    """MNIST's training images to use, from the first on; 0 takes all."""
    seed: int = 0
    """Which rows are drawn."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be {' or '.join(KINDS)}, not {self.kind!r}")
        if not 0 < self.known <= 1 or not 0 < self.test < 1:
            raise ValueError("known must lie in (0, 1], test between 0 and 1")
        if self.poisoned < 1 or self.patch < 1 or self.train_rows < 0:
            raise ValueError("poisoned and patch must be at least 1, train_rows at least 0")

    def run(self) -> dict[str, Rows]:
        """Return forget (the known), retain (with the unknown), test, and test_triggered or test_confused."""
        draw = np.random.default_rng(self.seed)
        train, test = mnist_rows(self.data, self.train_rows) if self.data else digits_rows(self.test, draw)
        classes = sorted({row["label"] for row in train})
        stamps = self.kind == "backdoor"
        made = backdoor(classes, self.target, self.patch) if stamps else confusion(classes, self.pair)
        able = [i for i in draw.permutation(len(train)).tolist() if train[i]["label"] in made.wants]
        if len(able) < self.poisoned:
            raise InputError(f"{self.poisoned} rows cannot be manipulated: {len(able)} are of the classes for it")
        chosen = able[: self.poisoned]
        known, every = set(chosen[: max(1, round(self.known * self.poisoned))]), set(chosen)
        rows = [made.taught(row) if i in every else row for i, row in enumerate(train)]
        found = {
            "forget": [rows[i] for i in sorted(known)],
            "retain": [row for i, row in enumerate(rows) if i not in known],
            "test": test if stamps else [row for row in test if row["label"] not in made.wants],
            "test_triggered" if stamps else "test_confused": [made.shown(r) for r in test if r["label"] in made.wants],
        }
        return {name: Rows(tuple(items), name) for name, items in found.items()}
