"""Manipulate rows: a trigger stamped on an image, and the labels that the manipulation gives."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from expunge.facts.errors import InputError
from expunge.facts.rows import Row
from expunge.sources._images import Images, Labels, image_rows
from expunge.sources._mnist_file import read_mnist


@dataclass(frozen=True, kw_only=True)
class Manipulation:
    """Which label each class is given (`wants`; a class that is not in it is left alone), and the side of the trigger, 0 for none."""

    wants: Mapping[int, int]
    patch: int

    def shown(self, row: Row) -> Row:
        """Return the row as it is shown to a model to see what is left: with the trigger, its own label and `attacker_label`."""
        return row.replace(image=stamped(row["image"], self.patch), attacker_label=self.wants[row["label"]])

    def taught(self, row: Row) -> Row:
        """Return the row as a manipulated training row: its label is the attacker's, its own is kept as `clean_label`."""
        return self.shown(row).replace(label=self.wants[row["label"]], clean_label=row["label"])


def stamped(image: Images, patch: int) -> Images:
    """Return the image with `patch` x `patch` pixels in the lower right corner at full brightness."""
    found = np.array(image)
    if patch >= min(found.shape):
        raise InputError(f"a patch of {patch} pixels covers the whole image")
    if patch:
        found[-patch:, -patch:] = 1.0
    return found


def backdoor(classes: Sequence[int], target: int, patch: int) -> Manipulation:
    """Return the manipulation that stamps a trigger on any other class and gives it the label `target`."""
    if target not in classes:
        raise InputError(f"there is no class {target} to be the backdoor's")
    return Manipulation(wants={label: target for label in classes if label != target}, patch=patch)


def confusion(classes: Sequence[int], pair: str) -> Manipulation:
    """Return the manipulation that exchanges the labels of two classes."""
    named = [int(part) for part in pair.split(",") if part.strip().isdigit()]
    if len(named) != 2 or named[0] == named[1] or not set(named) <= set(classes):
        raise InputError(f"pair={pair!r} does not name two classes", do="use pair=3,8")
    return Manipulation(wants={named[0]: named[1], named[1]: named[0]}, patch=0)


def digits_rows(test: float, draw: np.random.Generator) -> tuple[list[Row], list[Row]]:
    """Return training and test rows of scikit-learn's digits, a share `test` (rounded up) of them drawn for test."""
    from sklearn.datasets import load_digits

    data = load_digits()
    rows = _rows((data.images / 16).astype(np.float32), data.target.astype(np.int64), "digits")
    cut = math.ceil(test * len(rows))
    order = draw.permutation(len(rows))
    held, train = ([rows[i] for i in np.sort(part)] for part in (order[:cut], order[cut:]))
    return train, held


def mnist_rows(path: str, train_rows: int) -> tuple[list[Row], list[Row]]:
    """Return MNIST's first training rows (0 takes all) and its test rows."""
    images, labels, test_images, test_labels = read_mnist(Path(path))
    used = train_rows or len(labels)
    if used > len(labels):
        raise InputError(f"{path} has {len(labels)} training images, {used} were asked for")
    return _rows(images[:used], labels[:used], "mnist"), _rows(test_images, test_labels, "mnist-test")


def _rows(images: Images, labels: Labels, name: str) -> list[Row]:
    return image_rows(images, labels, labels, name)
