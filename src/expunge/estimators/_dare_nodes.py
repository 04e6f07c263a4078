"""What a tree that forgets is made of: the table it is grown from, nodes with their drawn splits, leaves, and how they are read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from expunge.estimators._rows import Numbers, Positions


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
