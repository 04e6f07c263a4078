"""Orders of slices for several models of one shard, and how many deletions they last."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Orders = tuple[tuple[int, ...], ...]


def cyclic_orders(slices: int, copies: int) -> Orders:
    """Return rotations of 0..slices-1 that begin as far apart as they can; there are no more of them than slices."""
    if not 1 <= copies <= slices:
        raise ValueError(f"{slices} slices have 1 to {slices} rotations, not {copies}")
    starts = [number * slices // copies for number in range(copies)]
    return tuple(tuple((start + i) % slices for i in range(slices)) for start in starts)


def matched_orders(chances: Sequence[float], copies: int) -> Orders:
    """Return orders for slices that are asked to go with unequal chances, place by place by bipartite matching.

    A model's stage j lasts while no slice of its first j + 1 is touched. Each place is filled by the assignment of slices to models
    that adds most to the expected number of lasting stages, sum_b q_b (1 - p_s), q_b the chance that model b has lasted so far. No
    two models get the same slice at one place, unless nothing else is left for them.
    """
    from scipy.optimize import linear_sum_assignment

    stay, slices = 1.0 - np.asarray(chances, dtype=np.float64), len(chances)
    if not 1 <= copies <= slices:
        raise ValueError(f"{slices} slices can begin 1 to {slices} models, not {copies}")
    if ((stay < 0) | (stay > 1)).any():
        raise ValueError("chances lie between 0 and 1")
    orders: list[list[int]] = [[] for _ in range(copies)]
    lasting = np.ones(copies)
    again = np.repeat(np.arange(copies), slices)
    for _ in range(slices):
        gains = np.tile(lasting[:, None] * stay, (1, copies)) - again
        for number, order in enumerate(orders):
            gains[number, np.isin(np.arange(slices * copies) % slices, order)] = -2.0 * copies * slices
        _, columns = linear_sum_assignment(gains, maximize=True)
        for number, column in enumerate(columns % slices):
            orders[number].append(int(column))
            lasting[number] *= stay[column]
    return tuple(tuple(order) for order in orders)


def expected_deletions(shards: int, slices: int, firsts: int) -> float:
    """Return how many deletions, each of a uniformly drawn (shard, slice), come before no shard has a model left.

    A shard is lost once all slices that some model of it began with were touched: `firsts` of them. All shards are once k = shards x firsts
    given places of n = shards x slices were: n (1 + 1/2 + ... + 1/k), the coupon collector's. SISA, that falls back to the weights kept
    before a slice, has one first slice a shard.
    """
    return shards * slices * sum(1.0 / i for i in range(1, shards * firsts + 1))


def deletions_until_lost(
    shards: int, orders: Orders, draw: np.random.Generator, chances: Sequence[float] | None = None
) -> int:
    """Return how many deletions it took, in one draw, until no shard had a model left; slices are drawn by `chances`."""
    slices = len(orders[0])
    weights = None if chances is None else np.asarray(chances, dtype=np.float64) / np.sum(chances)
    left = {(shard, order[0]) for shard in range(shards) for order in orders}
    count = 0
    while left:
        left.discard((int(draw.integers(shards)), int(draw.choice(slices, p=weights))))
        count += 1
    return count
