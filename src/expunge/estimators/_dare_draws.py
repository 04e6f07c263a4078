"""Which splits a node looks at, drawn by hashes alone, which is the best, and what is left of them when rows are gone.

A node's key comes from the seed and the path to it; each attribute has a hash under that key, and each value of an attribute one under
the attribute's. A node looks at the first `attributes` attributes in the order of their hashes that vary among its rows, and at the
`thresholds` values of each with the least hashes among the values present, the largest value left out (a split is x <= value). That is
a uniform draw without replacement, and deleting a row changes it only if a drawn value is gone from the node or has become its largest:
no other value can enter. The split with the least Gini impurity is taken (whole counts, so ties and rounding are the same however the
counts came about).
"""

from __future__ import annotations

import numpy as np

from expunge.estimators._dare_nodes import Candidates, Table
from expunge.estimators._hashes import mixed
from expunge.estimators._rows import Numbers, Positions
from expunge.facts.errors import InputError


def count_attributes(max_features: int | str, features: int) -> int:
    """Return how many attributes a node looks at, for "sqrt" or a whole number from 1 to the number of features; refuse all else."""
    if max_features == "sqrt":
        return max(1, int(np.sqrt(features)))
    if isinstance(max_features, int) and 1 <= max_features <= features:
        return max_features
    raise InputError(f"max_features is {max_features!r}; it must be 'sqrt' or a whole number from 1 to {features}")


def draw(table: Table, rows: Positions, key: int, depth: int) -> Candidates | None:
    """Return the drawn splits of a node with these rows, or nothing if no attribute varies."""
    random = depth < table.random_layers
    wanted, most = (1, 1) if random else (table.attributes, table.thresholds)
    names = mixed(np.uint64(key) ^ mixed(np.arange(1, table.X.shape[1] + 1, dtype=np.uint64)))
    labels = table.y[rows]
    found: list[tuple[Positions, Numbers, Positions, Positions]] = []
    for attribute in np.argsort(names, kind="stable"):
        values, where = np.unique(table.X[rows, attribute], return_inverse=True)
        if len(values) == 1:
            continue
        counts = np.bincount(where * table.classes + labels, minlength=len(values) * table.classes).reshape(
            -1, table.classes
        )
        order = np.argsort(mixed(names[attribute] ^ values[:-1].view(np.uint64)), kind="stable")[:most]
        found.append(
            (np.full(len(order), attribute), values[order], np.cumsum(counts, axis=0)[order], counts[order].sum(1))
        )
        if len(found) == wanted:
            break
    if not found:
        return None
    attributes, values, below, at = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return Candidates(attribute=attributes, value=values, below=below, at=at)


def best_of(drawn: Candidates, counts: Positions) -> int:
    """Return the drawn split with the least Gini impurity, the first of equals: the largest sum over sides of sum_c n_c^2 / n."""
    above = counts - drawn.below
    gain = (drawn.below**2).sum(1) / drawn.below.sum(1) + (above**2).sum(1) / above.sum(1)
    return int(np.argmax(gain))


def without(drawn: Candidates, X: Numbers, y: Positions, classes: int) -> Candidates:
    """Return the same splits with these rows taken out of their counts."""
    values = X[:, drawn.attribute]
    below = drawn.below - (values <= drawn.value).T.astype(np.int64) @ np.eye(classes, dtype=np.int64)[y]
    return Candidates(
        attribute=drawn.attribute, value=drawn.value, below=below, at=drawn.at - (values == drawn.value).sum(0)
    )
