"""Which concepts a row has: those it carries, else the cluster of features it lies in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from expunge.facts.errors import InputError
from expunge.facts.rows import Rows
from expunge.statistics.clusters import FloatArray

BoolArray = NDArray[np.bool_]


def concepts_of(rows: Rows, features: FloatArray, *, count: int, seed: int) -> BoolArray:
    """Return whether each row has each concept, (rows, concepts).

    Where every row has a field `concepts` (one 0 or 1 a concept, in one order) these are taken. Where none has it, concepts are the
    `count` clusters that k-means finds in the features of the rows: nameless, and each row has one. Some rows with it and some
    without are refused, and so is a concept that all rows have or none.
    """
    given = [row.get("concepts") for row in rows]
    if any(one is None for one in given):
        named = next((row.id for row, one in zip(rows, given, strict=True) if one is not None), None)
        if named is not None:
            bare = next(row.id for row, one in zip(rows, given, strict=True) if one is None)
            raise InputError(f"row {named!r} has concepts and row {bare!r} has none", do="give every row its concepts")
        return clustered(features, count=count, seed=seed)
    widths = {len(one) for one in given}
    if len(widths) != 1:
        raise InputError(f"rows have {min(widths)} to {max(widths)} concepts", do="give each row a 0 or 1 a concept")
    found = np.array(given)
    if not np.isin(found, (0, 1)).all():
        raise InputError("concepts must be 0 or 1")
    found = found.astype(np.bool_)
    same = np.flatnonzero(found.all(0) | ~found.any(0))
    if len(same):
        raise InputError(f"concept {same[0]} is the same in all {len(rows)} rows", do="leave it out")
    return found


def clustered(features: FloatArray, *, count: int, seed: int) -> BoolArray:
    """Return membership of each row in each of `count` clusters of features, (rows, count); the best of five starts."""
    from sklearn.cluster import KMeans

    if not 2 <= count <= len(features):
        raise InputError(f"{len(features)} rows cannot be put into {count} clusters", do="ask for 2 or more, and fewer")
    place = KMeans(count, n_init=5, random_state=seed).fit_predict(features)
    return np.asarray(place[:, None] == np.arange(count))
