"""One number a row becomes a score with an interval, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from expunge.facts.errors import InputError, UndeclaredRead
from expunge.facts.score import Ideal, Score, unscored
from expunge.statistics.clusters import MIN_GROUPS, FloatArray, IntArray, dense_groups
from expunge.statistics.intervals import bootstrap_mean, drawn_counts

JUDGED_BY_CONTROL = ("forget", "holdout")


def ideal_for(split: str, kept: Ideal = "higher") -> Ideal:
    """Return which way is good on a split: nearest to the control on forget and holdout rows, else `kept`."""
    return "as_control" if split.partition("/")[0] in JUDGED_BY_CONTROL else kept


def clusters_of(groups: Sequence[str]) -> IntArray | None:
    """Return group ordinals to resample by; None where rows are the units (one a group, or too few groups to tell)."""
    if not len(groups):
        return None
    ordinals = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)[1].reshape(-1).astype(np.int64)
    dense = dense_groups(ordinals, len(groups))
    return None if dense is None or int(dense.max()) + 1 < MIN_GROUPS else dense


def mean_score(
    name: str, compute: Callable[[], FloatArray], groups: Sequence[str], *, ideal: Ideal, keep: bool = True
) -> Score:
    """Return the mean of one number a row with its bootstrap interval; what cannot be computed is unscored with the reason.

    `groups` are the rows' own, resampled whole. `keep` is False where the numbers do not stand for every row of the split. A number that
    is not finite makes the score unscored: it is never left out of the mean and never 0.
    """
    try:
        values = np.asarray(compute(), np.float64)
    except (InputError, UndeclaredRead) as error:
        return unscored(name, error.what, n=len(groups), ideal=ideal)
    if not len(values):
        return unscored(name, "there are no rows", ideal=ideal)
    broken = int((~np.isfinite(values)).sum())
    if broken:
        return unscored(name, f"{broken} of {len(values)} rows have no finite number", n=len(values), ideal=ideal)
    low = high = None
    if len(values) > 1:
        interval = bootstrap_mean(values, clusters_of(groups))
        low, high = interval.low, interval.high
    return Score(
        name=name,
        value=float(values.mean()),
        low=low,
        high=high,
        n=len(values),
        ideal=ideal,
        per_example=tuple(values.tolist()) if keep else None,
    )


def resampled_means(columns: FloatArray, groups: Sequence[str], *, draws: int = 2000, seed: int = 0) -> FloatArray:
    """Return means of several columns (columns, rows) over bootstrap draws of rows or groups, (draws, columns)."""
    units = clusters_of(groups)
    sums, sizes = columns, np.ones(columns.shape[1])
    if units is not None:
        sums = np.array([np.bincount(units, weights=column) for column in columns])
        sizes = np.bincount(units).astype(np.float64)
    counts = drawn_counts(len(sizes), draws, seed)
    return np.asarray(counts @ sums.T / (counts @ sizes)[:, None], np.float64)


def percentiles(values: FloatArray, confidence: float = 0.95) -> tuple[float, float]:
    """Return the two-sided percentile interval of bootstrap draws."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)
