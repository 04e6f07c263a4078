"""Simple attributes of 8x8 digits, read from pixels: what the claims of concept methods take as concepts."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.ndimage import label

from expunge.contract.splits import Splits
from expunge.facts.rows import Row, Rows

NAMES = ("hole", "two holes", "top-heavy", "bottom-heavy", "left-heavy", "right-heavy", "wide", "stroke down", "bar on top",
         "bar below", "open on the left above", "open on the left below", "open on the right above", "much ink")  # fmt: skip


def attributes(image: Any) -> tuple[int, ...]:
    """0 or 1 for each name: background parts that the ink closes in, halves of ink, extents, rows and columns of ink."""
    x = np.asarray(image, float)
    ink = x > 0.4
    _, count = label(np.pad(~ink, 1, constant_values=True))
    holes = count - 1
    rows, columns = x.sum(1), x.sum(0)
    total = max(x.sum(), 1e-9)
    top, left = rows[:4].sum() / total, columns[:4].sum() / total
    width = np.flatnonzero(ink.any(0))
    found = (
        holes >= 1,
        holes >= 2,
        top > 0.55,
        top < 0.45,
        left > 0.55,
        left < 0.45,
        len(width) > 0 and width[-1] - width[0] >= 5,
        ink.sum(0).max() >= 7,
        rows[:2].max() > 2.8,
        rows[-2:].max() > 2.8,
        x[2:4, :3].sum() < 1.0,
        x[4:6, :3].sum() < 1.0,
        x[2:4, 5:].sum() < 1.0,
        total > 20,
    )
    return tuple(int(one) for one in found)


def with_concepts(splits: Splits) -> Splits:
    """The same rows with the field `concepts`."""

    def named(row: Row) -> Row:
        return row.replace(concepts=attributes(row["image"]))

    return Splits({name: Rows(tuple(map(named, rows)), name) for name, rows in splits.rows.items()})
