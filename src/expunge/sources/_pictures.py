"""Pictures in a cell of a person's table: a file beside it, or the bytes of one."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expunge.facts.errors import InputError


def is_picture(value: Any) -> bool:
    """Say whether a cell names a picture's file (a text that is no JSON list), or holds its bytes, alone or as `{"bytes": ...}`."""
    named = isinstance(value, str) and bool(value.strip()) and not value.lstrip().startswith("[")
    return named or isinstance(value, bytes) or (isinstance(value, Mapping) and {"bytes", "path"} & set(value) != set())


def read_picture(value: Any, place: str, folder: Path) -> NDArray[np.uint8]:
    """Return the picture of a cell as (H, W), or (3, H, W) where it has colours, 0..255; paths are taken from `folder`.

    Only greyscale and RGB of 8 bits: what else a picture may be (a palette, transparency, 16 bits) is a choice of how to convert it, and
    the model was trained on one of them.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise InputError(f"{place}: pictures need pillow", do='pip install "expunge[models]"') from error
    if isinstance(value, Mapping):
        value = value.get("bytes") or value.get("path")
    if not isinstance(value, (str, bytes)):
        raise InputError(f"{place}: the picture is empty", do="leave the row out, or give its file")
    data = io.BytesIO(value) if isinstance(value, bytes) else folder / value
    what = "the picture" if isinstance(value, bytes) else f"the picture {value!r}"
    try:
        with Image.open(data) as picture:
            mode, found = picture.mode, np.asarray(picture)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(
            f"{place}: {what} cannot be read: {error}", do="check the path, from the folder of the table"
        ) from error
    if mode not in ("L", "RGB"):
        raise InputError(
            f"{place}: {what} has the mode {mode}; L and RGB are read",
            do="save it as the training pictures were converted: picture.convert('RGB')",
        )
    return np.ascontiguousarray(found.transpose(2, 0, 1) if mode == "RGB" else found)
