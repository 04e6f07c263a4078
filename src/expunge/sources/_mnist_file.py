"""MNIST's npz file as arrays."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from expunge.facts.errors import InputError
from expunge.sources._images import Images, Labels

ARRAYS = ("x_train", "y_train", "x_test", "y_test")


def read_mnist(path: Path) -> tuple[Images, Labels, Images, Labels]:
    """Return training images in [0, 1], their labels, test images and their labels; refuses a file of another form."""
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
