"""How much of the retain set repeats the forget set: removal without this number misleads."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from expunge.contract.splits import Splits
from expunge.facts.rows import Row

N_GRAM = 8
NEAR = 0.5


def _words(row: Row) -> list[str]:
    return re.findall(r"\w+", f"{row.get('prompt') or ''} {row.get('answer') or ''}".lower())


def _grams(words: list[str], n: int) -> set[tuple[str, ...]]:
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}


def repeats(splits: Splits, modality: str) -> dict[str, Any]:
    """Return how much of the retain rows repeats forget rows, where it is known how to tell."""
    if modality == "text":
        return overlap(splits)
    return equal_arrays(splits) if modality in ("vision", "tabular") else {}


def equal_arrays(splits: Splits) -> dict[str, Any]:
    """Return how many retain rows hold the array (features or image) of a forget row, whatever their label; ids only.

    A row with its label too is refused before; one under another label stays, and with it what the model knows of that array.
    """
    known = {_array(row) for row in splits.rows["forget"]} - {None}
    found = [row.id for row in splits.rows.get("retain", ()) if _array(row) in known]
    return {"retain_rows": len(splits.rows.get("retain", ())), "equal_arrays": len(found), "ids": sorted(found)[:100]}


def _array(row: Row) -> bytes | None:
    """Return bytes of a row's array as a network reads it, or None of a row without one."""
    array = row.get("features", row.get("image"))
    if array is None:
        return None
    held = np.asarray(array, dtype=np.float32)
    return str(held.shape).encode() + held.tobytes()


def overlap(splits: Splits, *, n: int = N_GRAM, near: float = NEAR) -> dict[str, Any]:
    """Return how many retain rows share an n-gram of words with a forget row, and how many are near-duplicates of one.

    A near-duplicate shares at least `near` of its own word 3-grams with the forget rows taken together. Counts and row ids
    only; no text.
    """
    forget, retain = splits.rows["forget"], splits.rows.get("retain", ())
    grams, shingles = _union(forget, n), _union(forget, 3)
    sharing, duplicates = [], []
    for row in retain:
        words = _words(row)
        if _grams(words, n) & grams:
            sharing.append(row.id)
        own = _grams(words, 3)
        if own and len(own & shingles) / len(own) >= near:
            duplicates.append(row.id)
    return {
        "n": n,
        "near": near,
        "retain_rows": len(retain),
        "sharing_n_gram": len(sharing),
        "near_duplicates": len(duplicates),
        "ids": sorted({*sharing, *duplicates})[:100],
    }


def _union(rows: Iterable[Row], n: int) -> set[tuple[str, ...]]:
    return set().union(*(_grams(_words(row), n) for row in rows))
