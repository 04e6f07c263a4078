"""Omniglot's zip of black and white images, read one by one."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from expunge.facts.errors import InputError

SIDE = 105
POOLED = 5
"""Pixels each way that become one: 105 x 105 pixels to 21 x 21 shares of ink."""


def drawings(path: Path) -> Iterator[tuple[str, str, int, NDArray[np.float32]]]:
    """Yield (alphabet, character, drawer, image) of every drawing, in the order of their names."""
    if path.is_dir():
        path = next(iter(sorted(path.glob("*.zip"))), path / "images_background_small1.zip")
    if not path.is_file():
        raise InputError(f"there is no file {path}", do="give data=PATH of the zip of images")
    try:
        with zipfile.ZipFile(path) as archive:
            drawn = [PurePosixPath(name) for name in sorted(archive.namelist()) if name.endswith(".png")]
            if not drawn:
                raise InputError(f"{path} holds no png images")
            for place in drawn:
                yield place.parts[-3], place.parts[-2], int(place.stem[-2:]), _image(archive.read(str(place)), place)
    except zipfile.BadZipFile as error:
        raise InputError(f"{path} is no zip file: {error}") from error


def _image(data: bytes, place: PurePosixPath) -> NDArray[np.float32]:
    """Return the share of ink in each square of POOLED x POOLED pixels; ink is black."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as opened:
        ink = ~np.asarray(opened.convert("1"))
    if ink.shape != (SIDE, SIDE):
        raise InputError(f"{place.name} is {ink.shape[1]} x {ink.shape[0]} pixels, not {SIDE} x {SIDE}")
    side = SIDE // POOLED
    return np.asarray(ink.reshape(side, POOLED, side, POOLED).mean((1, 3)), np.float32)
