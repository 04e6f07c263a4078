"""Rows of one author are not independent: what a sample of clustered rows is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from expunge.facts.errors import InputError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Groups = Sequence[int] | IntArray

MIN_GROUPS = 10
UNSEEN_CORRELATION = 0.15
"""Correlation within a group that a leak not yet seen is assumed to have at most.

A sample without one success cannot tell how successes would cluster. The largest such correlation of per-row successes
on 15 real authors of 20 rows (a published model retrained without them) is 0.12. Simulated size at the margin, 10 to 40
authors, control without success: at most .05 up to a correlation of 0.15, .06 at 0.2, .08 at 0.3, .14 at 0.5.
"""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How values scatter, and how much a cluster of rows is worth.

    `variance` is that of one value (divisor n), `design_effect` (>= 1) by how much clusters multiply the variance of
    the mean, `unseen_effect` the same for successes that the sample does not hold. `groups` is 0 where none were given;
    below the least number of groups `clustered` is false: the numbers are then conditional on these groups.
    """

    n: int
    mean: float
    variance: float
    groups: int = 0
    clustered: bool = False
    design_effect: float = 1.0
    unseen_effect: float = 1.0

    @property
    def error(self) -> float:
        """Standard error of the mean, clusters included."""
        return float(np.sqrt(self.variance * self.design_effect / max(self.n - (not self.clustered), 1)))

    @property
    def degrees(self) -> int:
        """Degrees of freedom of the error."""
        return (self.groups if self.clustered else self.n) - 1


def numbers(values: Sequence[float] | FloatArray, name: str = "values") -> FloatArray:
    """Return a finite one-dimensional float array, or say what is wrong with it."""
    array = np.asarray(values, np.float64)
    if array.ndim != 1 or not array.size:
        raise InputError(f"{name} must be a list of at least one number, not shape {array.shape}")
    if not np.isfinite(array).all():
        raise InputError(f"{name} hold {int((~np.isfinite(array)).sum())} numbers that are not finite")
    return array


def dense_groups(groups: Groups | None, n: int) -> IntArray | None:
    """Return group ordinals 0..G-1, or None where rows stand alone (none given, or one row a group)."""
    if groups is None or len(groups) == 0:
        return None
    if len(groups) != n:
        raise InputError(f"{len(groups)} groups for {n} rows")
    dense: IntArray = np.unique(np.asarray(groups), return_inverse=True)[1].reshape(-1).astype(np.int64)
    return None if int(dense.max()) + 1 == n else dense


def spread(values: FloatArray, groups: Groups | None = None, *, min_groups: int = MIN_GROUPS) -> Spread:
    """Return the scatter of values, with rows of a group taken as one cluster where there are `min_groups` of them.

    design_effect = Var_cluster(mean) / Var_rows(mean), at least 1, with
    Var_cluster(mean) = G / (G - 1) * sum_g (sum_{i in g} (x_i - mean))^2 / n^2 (the linearised ratio mean).
    unseen_effect = max(design_effect, 1 + (m - 1) * UNSEEN_CORRELATION), m = sum_g n_g^2 / n (Kish).
    Fewer groups than `min_groups` cannot say how groups differ: rows are then the units and the statement is about
    these groups. That is what a removal asks (the rows to forget are these authors'), and the page says so.
    """
    n, mean, variance = len(values), float(values.mean()), float(values.var())
    dense = dense_groups(groups, n)
    if dense is None:
        return Spread(n=n, mean=mean, variance=variance)
    count = int(dense.max()) + 1
    if count < max(min_groups, 2):
        return Spread(n=n, mean=mean, variance=variance, groups=count)
    sums = np.bincount(dense, weights=values - mean)
    sizes = np.bincount(dense)
    clustered = count / (count - 1) * float(sums @ sums) / n**2
    effect = max(1.0, clustered / (variance / n)) if variance > 0 else 1.0
    return Spread(
        n=n,
        mean=mean,
        variance=variance,
        groups=count,
        clustered=True,
        design_effect=effect,
        unseen_effect=max(effect, _unseen(sizes, n)),
    )


def effective_rows(n: int, groups: Groups | None = None, *, min_groups: int = MIN_GROUPS) -> float:
    """Return how many independent rows `n` grouped ones are assumed to be worth: n / (1 + (m - 1) * UNSEEN_CORRELATION), m as in `spread`.

    Read from the request alone, not from any success, so that a margin made from it is fixed before the run. Below
    `min_groups` rows are the units, as in `spread`.
    """
    dense = dense_groups(groups, n)
    if dense is None or int(dense.max()) + 1 < max(min_groups, 2):
        return float(n)
    return n / _unseen(np.bincount(dense), n)


def _unseen(sizes: IntArray, n: int) -> float:
    return 1 + (float(sizes @ sizes) / n - 1) * UNSEEN_CORRELATION


def critical(alpha: float, degrees: float = np.inf) -> float:
    """Return the one-sided critical value: normal for infinite degrees of freedom, else Student's t."""
    from scipy.special import ndtri, stdtrit

    if not 0 < alpha < 0.5:
        raise InputError(f"a one-sided level lies between 0 and 0.5, not {alpha}")
    return float(-ndtri(alpha) if np.isinf(degrees) else -stdtrit(degrees, alpha))
