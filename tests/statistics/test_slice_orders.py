"""Orders of slices, and how many deletions they last: by hand, and simulation against the coupon collector."""

from __future__ import annotations

from itertools import pairwise, permutations

import numpy as np
import pytest

from expunge.statistics.slice_orders import (
    Orders,
    cyclic_orders,
    deletions_until_lost,
    expected_deletions,
    matched_orders,
)


def mean_deletions(shards: int, orders: Orders, n: int, chances: list[float] | None = None) -> tuple[float, float]:
    draw = np.random.default_rng(0)
    found = [deletions_until_lost(shards, orders, draw, chances) for _ in range(n)]
    return float(np.mean(found)), float(np.std(found) / np.sqrt(n))


def lasting(order: tuple[int, ...], chances: list[float]) -> float:
    """Expected number of stages that last: sum over stages of the chance that no slice up to it is touched."""
    return float(np.cumprod([1 - chances[part] for part in order]).sum())


def test_rotations_by_hand() -> None:
    """Fails if: two models begin with one slice, or begin next to each other where they could be apart."""
    assert cyclic_orders(4, 2) == ((0, 1, 2, 3), (2, 3, 0, 1))
    assert cyclic_orders(3, 3) == ((0, 1, 2), (1, 2, 0), (2, 0, 1))
    for copies in (0, 4):
        with pytest.raises(ValueError, match="rotations"):
            cyclic_orders(3, copies)


def test_matching_by_hand() -> None:
    """Chances .5, .1, .3. One model takes them in rising order. Two: at the first place slices 1 and 2 (.9 + .7); then the model
    of .9 gets 2 and that of .7 gets 1 (no slice twice at a place would still allow 0, which adds less). Fails if: the gain is 1 - p without the
    chance that the model lasted, or risky slices come first."""
    chances = [0.5, 0.1, 0.3]
    assert matched_orders(chances, 1) == ((1, 2, 0),)
    assert sorted(matched_orders(chances, 2)) == [(1, 2, 0), (2, 1, 0)]
    assert all(lasting(matched_orders(chances, 1)[0], chances) >= lasting(p, chances) for p in permutations(range(3)))
    with pytest.raises(ValueError, match="between 0 and 1"):
        matched_orders([1.5, 0.0], 1)


@pytest.mark.parametrize(("slices", "copies"), [(3, 2), (5, 3), (6, 6), (8, 4)])
def test_matched_orders_are_orders_that_begin_apart(slices: int, copies: int) -> None:
    """Fails if: a model reads a slice twice, or two models begin with the same one."""
    for seed in range(5):
        orders = matched_orders(np.random.default_rng(seed).uniform(size=slices).tolist(), copies)
        assert all(sorted(order) == list(range(slices)) for order in orders)
        assert len({order[0] for order in orders}) == copies


@pytest.mark.parametrize(("shards", "slices", "copies"), [(1, 1, 1), (3, 4, 1), (3, 4, 2), (3, 4, 4), (5, 8, 4)])
def test_deletions_are_the_coupon_collectors(shards: int, slices: int, copies: int) -> None:
    """n (1 + 1/2 + ... + 1/k), n = shards x slices and k = shards x copies: 12 (1 + 1/2 + 1/3) = 22 for SISA's 3 shards of 4 slices.

    Fails if: a shard is lost with the first of its models.
    """
    mean, error = mean_deletions(shards, cyclic_orders(slices, copies), 1000)
    assert abs(mean - expected_deletions(shards, slices, copies)) <= 4 * error + 1e-9
    assert expected_deletions(3, 4, 1) == pytest.approx(22.0)


def test_claim_more_orders_last_longer_than_sisa() -> None:
    """O(m L log m B) against SISA's O(m L log m), SISA falling back to the weights before a slice: 4 shards of 8 slices, 1000 draws each.

    Measured 66 for SISA, then 85, 107, 128 for 2, 4, 8 models a shard. Fails if: further models share a first slice.
    """
    means = [mean_deletions(4, cyclic_orders(8, copies), 1000) for copies in (1, 2, 4, 8)]
    for (fewer, error), (more, other) in pairwise(means):
        assert more - fewer > 5 * (error + other)
    assert 1.5 < means[-1][0] / means[0][0] < 2.5


def test_claim_orders_matched_on_the_risk_keep_more_stages_than_rotations() -> None:
    """Risks rising from 1/16 to 15/16 over 8 slices, 2 models a shard, stages of the better one left after 4, 8 and 16 deletions in a shard.

    Measured, 500 draws: 2.98, 2.10, 1.36 matched and 2.83, 1.90, 1.24 rotated: little, since one rotation is the best order itself. How long the last stage lasts does not differ (349 and 342 deletions,
    standard error 12, 3 shards): rotations too begin one model with the safest slice, and that one decides. Fails if: matching puts risky
    slices first.
    """
    chances = np.array([(part + 0.5) / 8 for part in range(8)])
    draw = np.random.default_rng(0)
    for deletions in (4, 8, 16):
        left: list[list[int]] = [[], []]
        for _ in range(500):
            touched = set(draw.choice(8, size=deletions, p=chances / chances.sum()).tolist())
            for kind, orders in enumerate((matched_orders(chances.tolist(), 2), cyclic_orders(8, 2))):
                left[kind].append(max(prefix(order, touched) for order in orders))
        difference = np.subtract(*left)
        assert difference.mean() > 4 * difference.std() / np.sqrt(len(difference))


def prefix(order: tuple[int, ...], touched: set[int]) -> int:
    return next((i for i, part in enumerate(order) if part in touched), len(order))
