"""Rows of an array and its label out of a person's records: a table's features, or an image."""

from __future__ import annotations

import contextlib
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expunge.facts.errors import InputError, nearest
from expunge.facts.rows import Row
from expunge.sources._columns import ARRAY_COLUMNS, COLUMNS, check_mapped, text_of
from expunge.sources._pictures import is_picture, read_picture
from expunge.sources._table import Record

AXES = {"features": (1,), "image": (2, 3)}
"""Number of axes that an array of each field may have."""


def array_columns(path: Path, present: tuple[str, ...], mapping: Mapping[str, str]) -> dict[str, str]:
    """Return the columns of array, label, id and group where the file holds arrays, and nothing where it holds texts.

    It holds arrays where the map names one, or where there is a column features or image and none of a text.
    """
    mapped = set(mapping) & set(ARRAY_COLUMNS)
    texts = [name for field in ("prompt", "answer", "text") for name in COLUMNS[field]]
    if not mapped and (set(texts) & set(present) or not set(AXES) & set(present)):
        return {}
    check_mapped(path, present, mapping)
    names = {**ARRAY_COLUMNS, **{field: COLUMNS[field] for field in ("id", "group")}}
    found = {field: next((name for name in known if name in present), "") for field, known in names.items()}
    found.update(mapping)
    if mapped & set(AXES):
        found.update(dict.fromkeys(set(AXES) - mapped, ""))
    arrays = [field for field in AXES if found[field]]
    if len(arrays) != 1:
        raise InputError(
            f"{path} has {'features and an image' if arrays else 'no column for features or an image'}; it has: {', '.join(present)}",
            do="name the one that the model reads: --map features=COLUMN or --map image=COLUMN",
        )
    if not found["label"]:
        raise InputError(
            f"{path} has no column for label; it has: {', '.join(present)}",
            do=f"--map label={nearest('label', tuple(name for name in present if name != found[arrays[0]]))}",
        )
    return {field: column for field, column in found.items() if column}


def array_rows(records: Sequence[Record], columns: Mapping[str, str], folder: Path) -> Iterator[Row]:
    """Yield a row a record; one without an id gets 16 digits of its content's sha256, with an ordinal where it stands there again.

    A picture's file is looked for from `folder`.
    """
    seen = Counter[str]()
    field = next(name for name in AXES if name in columns)
    for place, record in records:
        cell = record.get(columns[field])
        pictured = field == "image" and is_picture(cell)
        array = read_picture(cell, place, folder) if pictured else _array(cell, place, columns[field], field)
        fields = {field: array, "label": _label(record.get(columns["label"]), place, columns["label"])}
        named = {
            name: text_of(record.get(columns[name]), place, columns[name])
            for name in ("id", "group")
            if name in columns and record.get(columns[name]) not in (None, "")
        }
        row_id = named.get("id")
        if row_id is None:
            digest = Row(id="", fields=fields).content().hex()[:16]
            seen[digest] += 1
            row_id = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
        yield Row(id=row_id, fields=fields, group=named.get("group"))


def _array(value: Any, place: str, column: str, field: str) -> NDArray[Any]:
    """Return a cell as float32, or of an image of whole numbers as uint8; a cell of a CSV holds a JSON list."""
    try:
        found = np.asarray(json.loads(value) if isinstance(value, str) else value)
    except ValueError as error:
        raise InputError(
            f"{place}: {column!r} is no array of numbers: {error}", do="write a JSON list: [0.5, 1, 2]"
        ) from error
    if found.dtype.kind not in "iuf":
        raise InputError(
            f"{place}: {column!r} is no array of numbers",
            causes=("a value is missing, or is a text",),
            do="write a JSON list of numbers: [0.5, 1, 2]",
        )
    if found.ndim not in AXES[field]:
        wanted = " or ".join(map(str, AXES[field]))
        raise InputError(f"{place}: {column!r} has {found.ndim} axes", do=f"give {field} with {wanted}")
    if field == "image" and found.dtype.kind in "iu":
        if found.size and not 0 <= int(found.min()) <= int(found.max()) <= 255:
            raise InputError(f"{place}: {column!r} holds whole numbers outside 0..255", do="give 0..255, or fractions")
        return found.astype(np.uint8)
    with np.errstate(over="ignore"):
        found = found.astype(np.float32)
    if not np.isfinite(found).all():
        raise InputError(f"{place}: {column!r} holds values that are not finite", do="fill in what is missing")
    return found


def _label(value: Any, place: str, column: str) -> int | float:
    """Return a class or a number to be predicted."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):  # a text, which is refused below
            value = json.loads(value)
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        raise InputError(f"{place}: {column!r} is {value!r}, which is no number", do="give a class number or a target")
    if not math.isfinite(value):
        raise InputError(f"{place}: {column!r} is {value}", do="leave the row out, or fill its target in")
    return int(value) if isinstance(value, Integral) else float(value)
