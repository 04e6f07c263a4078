"""A decision tree that is a function of a key and of the rows' content, and so can be brought up to date after rows are gone.

Chance enters by hashes only. A node's key comes from the seed and the path to it; each attribute has a hash under that key, and each
value of an attribute one under the attribute's. A node looks at the first `attributes` attributes in the order of their hashes that
vary among its rows, and at the `thresholds` values of each with the least hashes among the values present, the largest value left
out (a split is x <= value). That is a uniform draw without replacement, and deleting a row changes it only if a drawn value is gone
from the node or has become its largest: no other value can enter. The split with the least Gini impurity is taken (whole counts, so
ties and rounding are the same however the counts came about).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from expunge.estimators._rows import Numbers

Positions = NDArray[np.int64]
Hashes = NDArray[np.uint64]
STEP, WORD = 0x9E3779B97F4A7C15, 2**64 - 1
FACTORS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


@dataclass(frozen=True, kw_only=True)
class Table:
    """The rows that a forest was trained on, the number of classes, and what each tree is grown with."""

    X: Numbers
    y: Positions
    classes: int
    attributes: int
    thresholds: int
    max_depth: int
    random_layers: int


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """The rows that end here, and how many of each class."""

    rows: Positions
    counts: Positions


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """The drawn splits of a node: the counts by class at or below the value, and how many rows have the value itself."""

    attribute: Positions
    value: Numbers
    below: Positions
    at: Positions


@dataclass(frozen=True, kw_only=True)
class Branch:
    """A node's counts, its drawn splits, which of them is taken, and the nodes on both sides of it."""

    counts: Positions
    drawn: Candidates
    best: int
    low: Branch | Leaf
    high: Branch | Leaf


@dataclass(kw_only=True)
class Tally:
    """What a request cost: rows of the subtrees trained again, how many such subtrees, and draws renewed at nodes."""

    rows: int = 0
    subtrees: int = 0
    draws: int = 0


def mixed(words: Hashes) -> Hashes:
    """Return splitmix64's finaliser of each word."""
    words = words + np.uint64(STEP)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(FACTORS[0])
    words = (words ^ (words >> np.uint64(27))) * np.uint64(FACTORS[1])
    return words ^ (words >> np.uint64(31))


def key_of(*parts: int) -> int:
    """Return one word for a chain of whole numbers: splitmix64's finaliser in plain numbers, which is faster for one word."""
    key = 0
    for part in parts:
        key = key ^ (part * STEP & WORD)
        for shift, factor in ((30, FACTORS[0]), (27, FACTORS[1]), (31, 1)):
            key = (key ^ key >> shift) * factor & WORD
        key = (key + STEP) & WORD
    return key


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


def grow(table: Table, rows: Positions, key: int, depth: int = 0) -> Branch | Leaf:
    """Return a tree over these rows."""
    counts = np.bincount(table.y[rows], minlength=table.classes)
    drawn = None
    if depth < table.max_depth and counts.max() < len(rows):
        drawn = draw(table, rows, key, depth)
    return Leaf(rows=rows, counts=counts) if drawn is None else split(table, rows, key, depth, drawn, counts)


def split(table: Table, rows: Positions, key: int, depth: int, drawn: Candidates, counts: Positions) -> Branch:
    """Return a node with these drawn splits, and grow what is below the best."""
    best = best_of(drawn, counts)
    low = table.X[rows, drawn.attribute[best]] <= drawn.value[best]
    sides = (grow(table, rows[side], key_of(key, i), depth + 1) for i, side in enumerate((low, ~low)))
    return Branch(counts=counts, drawn=drawn, best=best, low=next(sides), high=next(sides))


def rows_below(node: Branch | Leaf) -> Positions:
    """Return every row of a subtree."""
    pending, found = [node], []
    while pending:
        here = pending.pop()
        if isinstance(here, Leaf):
            found.append(here.rows)
        else:
            pending += [here.high, here.low]
    return np.concatenate(found)


def prune(
    table: Table,
    node: Branch | Leaf,
    gone: Positions,
    key: int,
    tally: Tally,
    is_gone: NDArray[np.bool_],
    depth: int = 0,
) -> Branch | Leaf:
    """Return the tree that `grow` gives without the rows in `gone`, reusing every part that they do not change; `node` stays as it is."""
    if not len(gone):
        return node
    labels = table.y[gone]
    counts = node.counts - np.bincount(labels, minlength=table.classes)
    if isinstance(node, Leaf):
        return Leaf(rows=node.rows[~is_gone[node.rows]], counts=counts)
    total = int(counts.sum())
    if counts.max() == total:
        tally.rows, tally.subtrees = tally.rows + total, tally.subtrees + 1
        rows = rows_below(node)
        return Leaf(rows=rows[~is_gone[rows]], counts=counts)
    drawn = without(node.drawn, table.X[gone], labels, table.classes)
    if (drawn.at == 0).any() or (drawn.below.sum(1) == total).any():
        tally.draws += 1
        rows = rows_below(node)
        renewed = draw(table, rows[~is_gone[rows]], key, depth)
        if renewed is None:
            tally.rows, tally.subtrees = tally.rows + total, tally.subtrees + 1
            return Leaf(rows=rows[~is_gone[rows]], counts=counts)
        drawn = renewed
    best, old = best_of(drawn, counts), node.drawn
    if (drawn.attribute[best], drawn.value[best]) != (old.attribute[node.best], old.value[node.best]):
        tally.rows, tally.subtrees = tally.rows + total, tally.subtrees + 1
        rows = rows_below(node)
        return split(table, rows[~is_gone[rows]], key, depth, drawn, counts)
    low = table.X[gone, drawn.attribute[best]] <= drawn.value[best]
    below = prune(table, node.low, gone[low], key_of(key, 0), tally, is_gone, depth + 1)
    above = prune(table, node.high, gone[~low], key_of(key, 1), tally, is_gone, depth + 1)
    return Branch(counts=counts, drawn=drawn, best=best, low=below, high=above)


def without(drawn: Candidates, X: Numbers, y: Positions, classes: int) -> Candidates:
    """Return the same splits with these rows taken out of their counts."""
    values = X[:, drawn.attribute]
    below = drawn.below - (values <= drawn.value).T.astype(np.int64) @ np.eye(classes, dtype=np.int64)[y]
    return Candidates(
        attribute=drawn.attribute, value=drawn.value, below=below, at=drawn.at - (values == drawn.value).sum(0)
    )


def shares(node: Branch | Leaf, X: Numbers, classes: int) -> Numbers:
    """Return the share of each class in the leaf that each row falls into."""
    found = np.empty((len(X), classes))
    pending: list[tuple[Branch | Leaf, Positions]] = [(node, np.arange(len(X)))]
    while pending:
        here, rows = pending.pop()
        if isinstance(here, Leaf):
            found[rows] = here.counts / here.counts.sum()
        elif len(rows):
            low = X[rows, here.drawn.attribute[here.best]] <= here.drawn.value[here.best]
            pending += [(here.low, rows[low]), (here.high, rows[~low])]
    return found
