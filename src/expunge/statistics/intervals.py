"""Intervals of proportions, of their differences, and of means: two-sided, for tables and pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from expunge.facts.errors import InputError
from expunge.statistics.clusters import FloatArray, Groups, critical, dense_groups, numbers


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate with a two-sided interval at the given confidence."""

    estimate: float
    low: float
    high: float
    confidence: float = 0.95


def wilson(successes: float, n: float, *, confidence: float = 0.95) -> Interval:
    """Return Wilson's score interval of a proportion; it has width at 0 of n.

    (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n).  Source: Wilson 1927.
    """
    p = _proportion(successes, n)
    z = critical((1 - confidence) / 2)
    share = z * z / n
    middle, half = p + share / 2, z * np.sqrt(p * (1 - p) / n + share / (4 * n))
    low, high = float((middle - half) / (1 + share)), float((middle + half) / (1 + share))
    return Interval(estimate=p, low=0.0 if p == 0 else low, high=1.0 if p == 1 else high, confidence=confidence)


def clopper_pearson(successes: int, n: int, *, confidence: float = 0.95) -> Interval:
    """Return the exact interval of a proportion: beta quantiles; never covers less than it says.

    Source: Clopper & Pearson 1934.
    """
    from scipy.special import betaincinv

    p = _proportion(successes, n)
    tail = (1 - confidence) / 2
    low = 0.0 if successes == 0 else float(betaincinv(successes, n - successes + 1, tail))
    high = 1.0 if successes == n else float(betaincinv(successes + 1, n - successes, 1 - tail))
    return Interval(estimate=p, low=low, high=high, confidence=confidence)


def newcombe(successes: int, n: int, other: int, other_n: int, *, confidence: float = 0.95) -> Interval:
    """Return Newcombe's hybrid score interval for p_1 - p_2 of two independent samples.

    d -+ sqrt((p_1 - l_1)^2 + (u_2 - p_2)^2) with Wilson limits l, u.  Source: Newcombe 1998 (Stat. Med. 17:873), method 10.
    """
    one, two = wilson(successes, n, confidence=confidence), wilson(other, other_n, confidence=confidence)
    difference = one.estimate - two.estimate
    return Interval(
        estimate=difference,
        low=difference - float(np.hypot(one.estimate - one.low, two.high - two.estimate)),
        high=difference + float(np.hypot(one.high - one.estimate, two.estimate - two.low)),
        confidence=confidence,
    )


def tango(only_first: int, only_second: int, n: int, *, confidence: float = 0.95) -> Interval:
    """Return Tango's score interval for a paired difference of proportions; it has width without a discordant pair.

    The bounds are the differences D at which |b - c - n D| = z sqrt(n (2 q + D (1 - D))), where b and c count the rows on
    which only the first or only the second succeeds and q = (sqrt(B^2 - 4 A C) - B) / (2 A) is the restricted maximum
    likelihood of the share of c: A = 2 n, B = -b - c + (2 n - b + c) D, C = -c D (1 - D).
    Source: Tango 1998 (Stat. Med. 17:891). Solved by bisection.
    """
    if min(only_first, only_second) < 0 or only_first + only_second > n or n < 1:
        raise InputError(f"{only_first} and {only_second} discordant rows of {n}")
    z = critical((1 - confidence) / 2)
    estimate = (only_first - only_second) / n

    def above(b: int, c: int) -> float:
        low, high = (b - c) / n, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            linear = -b - c + (2 * n - b + c) * middle
            share = (np.sqrt(linear**2 + 8 * n * c * middle * (1 - middle)) - linear) / (4 * n)
            error = np.sqrt(max(n * (2 * share + middle * (1 - middle)), 0.0))
            low, high = (middle, high) if n * middle - (b - c) < z * error else (low, middle)
        return high

    return Interval(
        estimate=estimate,
        low=-above(only_second, only_first),
        high=above(only_first, only_second),
        confidence=confidence,
    )


SMALL = 2**21
"""Counts that are kept as floats, 16 MB a size; larger ones are turned into floats each time."""


@lru_cache(maxsize=16)
def _drawn_counts(units: int, draws: int, seed: int) -> NDArray[np.uint16]:
    return np.random.default_rng(seed).multinomial(units, np.full(units, 1 / units), size=draws).astype(np.uint16)


def drawn_counts(units: int, draws: int, seed: int) -> FloatArray:
    """Return how often each of `units` is drawn in each of `draws` bootstrap samples, (draws, units).

    Drawn once a size and kept in two bytes each: drawing takes twenty times as long as the mean it serves. Small ones are kept as they
    are used.
    """
    return (
        _small(units, draws, seed) if units * draws <= SMALL else _drawn_counts(units, draws, seed).astype(np.float64)
    )


@lru_cache(maxsize=16)
def _small(units: int, draws: int, seed: int) -> FloatArray:
    counts = _drawn_counts(units, draws, seed).astype(np.float64)
    counts.setflags(write=False)
    return counts


def bootstrap_mean(
    values: Sequence[float] | FloatArray,
    groups: Groups | None = None,
    *,
    confidence: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return the percentile bootstrap interval of a mean; whole groups are drawn where groups are given.

    All draws at once: counts of units times the units' sums, over counts times their sizes.
    """
    array = numbers(values)
    dense = dense_groups(groups, len(array))
    sums = array if dense is None else np.bincount(dense, weights=array)
    sizes = np.ones(len(array)) if dense is None else np.bincount(dense).astype(np.float64)
    if len(sums) < 2:
        raise InputError(
            "one group cannot be resampled; leave groups out and say that the interval is about this group"
        )
    counts = drawn_counts(len(sums), draws, seed)
    tail = (1 - confidence) / 2
    low, high = np.quantile((counts @ sums) / (counts @ sizes), [tail, 1 - tail])
    return Interval(estimate=float(array.mean()), low=float(low), high=float(high), confidence=confidence)


def _proportion(successes: float, n: float) -> float:
    if n <= 0 or not 0 <= successes <= n:
        raise InputError(f"{successes} successes of {n}")
    return successes / n
