"""The file that a protocol reads: given itself, or by the folder that holds it under one of its names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from expunge.facts.errors import InputError


def data_file(data: Path | None, names: Sequence[str]) -> Path:
    """Return the file that `data` is, or the first of `names` in the folder that it is; raises InputError where there is none."""
    given = data if data is not None else Path(names[0])
    places = [given / name for name in names] if given.is_dir() else [given]
    found = next((one for one in places if data is not None and one.is_file()), None)
    if found is None:
        raise InputError(f"there is no file {places[0]}", do=f"give --data the path of {names[0]}")
    return found
