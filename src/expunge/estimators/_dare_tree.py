"""A decision tree that is a function of a key and of the rows' content, and so can be brought up to date after rows are gone.

Chance enters by hashes only (_dare_draws), so growing a tree anew on the rows that are left and bringing it up to date end in one tree.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from expunge.estimators._dare_draws import best_of, draw, without
from expunge.estimators._dare_nodes import Branch, Candidates, Leaf, Table, Tally, rows_below
from expunge.estimators._hashes import key_of
from expunge.estimators._rows import Positions


def grow_all(table: Table, seed: int, count: int) -> list[Branch | Leaf]:
    """Return the trees of a forest over all rows of the table, each under a key of its own."""
    return [grow(table, np.arange(len(table.X)), key_of(seed, i)) for i in range(count)]


def prune_all(
    table: Table, trees: list[Branch | Leaf], seed: int, gone: Positions
) -> tuple[list[Branch | Leaf], Tally]:
    """Return the trees that `grow_all` gives without the rows in `gone`, and what that cost over all of them."""
    is_gone = np.zeros(len(table.X), dtype=bool)
    is_gone[gone] = True
    tally = Tally()
    found = [prune(table, tree, gone, key_of(seed, i), tally, is_gone) for i, tree in enumerate(trees)]
    return found, tally


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
