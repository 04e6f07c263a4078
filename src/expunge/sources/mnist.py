"""MNIST from an npz file."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from expunge.contract.about import About
from expunge.facts.errors import InputError
from expunge.facts.rows import Row, Rows
from expunge.sources._images import Images, Labels, check_shares, image_rows, image_splits, noisy, test_splits

ARRAYS = ("x_train", "y_train", "x_test", "y_test")


@dataclass(frozen=True, kw_only=True)
class Mnist:
    """Read MNIST as 28x28 images in [0, 1], with a class, a random share or given rows to forget.

    On clean labels accuracy says nothing about random forgetting (a retrained model gets the forget rows right too); with label noise
    only a model trained on a row knows its wrong label. Noise falls on forget, retain and holdout alike, never on test.

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
    """Rows to forget: class=3, random=0.1 (of the training rows), sample=150 (rows) or ids=mnist-17,mnist-30."""
    holdout: float = 0.5
    """Holdout rows a forget row, with the same labels, taken out of training; a class is shared out between the two."""
    train_rows: int = 0
    """Training images to use, from the first on; 0 takes all."""
    label_noise: float = 0.0
    """Share of the training images whose label is replaced by a wrong one."""
    seed: int = 0
    """Which rows are drawn."""

    def __post_init__(self) -> None:
        check_shares(holdout=self.holdout, label_noise=self.label_noise)
        if self.train_rows < 0:
            raise ValueError(f"train_rows must be at least 0, not {self.train_rows}")

    def run(self) -> dict[str, Rows]:
        """Return forget, retain, holdout, test, and test_forget where a class is to be forgotten."""
        images, labels, test_images, test_labels = _read(Path(self.data))
        used = self.train_rows or len(labels)
        if used > len(labels):
            raise InputError(f"{self.data} has {len(labels)} training images, {used} were asked for")
        images, labels = images[:used], labels[:used]
        draw = np.random.default_rng(self.seed)
        rows = image_rows(images, noisy(labels, self.label_noise, draw), labels, "mnist")
        test: list[Row] = image_rows(test_images, test_labels, test_labels, "mnist-test")
        return {**image_splits(rows, self.forget, self.holdout, draw), **test_splits(test, self.forget)}


def _read(path: Path) -> tuple[Images, Labels, Images, Labels]:
    try:
        data = np.load(path, allow_pickle=False)
        found = {name: data[name] for name in data.files} if isinstance(data, np.lib.npyio.NpzFile) else {}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is not a readable npz file: {error}", do="set data to mnist.npz") from error
    missing = [name for name in ARRAYS if name not in found]
    if missing:
        raise InputError(f"{path} has no array {missing[0]!r}; it has: {', '.join(found) or 'none'}")
    for part in ("train", "test"):
        images, labels = found[f"x_{part}"], found[f"y_{part}"]
        if images.ndim != 3 or images.dtype != np.uint8 or labels.shape != images.shape[:1]:
            raise InputError(
                f"{path}: x_{part} is {images.dtype}{images.shape} with {labels.shape} labels, not uint8 (n, h, w)"
            )
    train, test = (found[name].astype(np.float32) / np.float32(255) for name in ("x_train", "x_test"))
    return train, found["y_train"].astype(np.int64), test, found["y_test"].astype(np.int64)
