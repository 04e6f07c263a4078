"""Non-inferiority and equivalence: what may be claimed from bounds and a margin fixed before the run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from expunge.facts.errors import InputError
from expunge.statistics.bounds import Bounds, mean_bounds, paired_success_bounds
from expunge.statistics.clusters import MIN_GROUPS, FloatArray, Groups

Table = Sequence[Sequence[float]] | FloatArray


def shrunk_margin(at_80: float, n: float) -> float:
    """Return a default margin: as stated up to 80 independent rows, times sqrt(80 / n) above, never growing below.

    The standard error shrinks with sqrt(n), so the power stays that of 80 rows and more rows mean a stricter claim.
    """
    return at_80 * min(1.0, float(np.sqrt(80 / n)))


def is_non_inferior(bounds: Bounds, margin: float) -> bool:
    """True where success - control is shown to lie below the margin: high < margin, one-sided at alpha."""
    return bounds.high < margin


def is_equivalent(bounds: Bounds, margin: float) -> bool:
    """True where two one-sided tests both reject: -margin < low and high < margin, over- and under-forgetting alike."""
    return -margin < bounds.low and bounds.high < margin


def is_superior(bounds: Bounds, margin: float = 0.0) -> bool:
    """True where the difference is shown to exceed the margin: low > margin, one-sided at alpha."""
    return bounds.low > margin


def paired_bounds(
    values: Sequence[float] | FloatArray,
    controls: Table,
    groups: Groups | None = None,
    *,
    alpha: float = 0.05,
    min_groups: int = MIN_GROUPS,
) -> Bounds:
    """Return bounds for mean(values - mean of the controls), paired by example.

    Rows that are all 0 or 1, in the values and in every control, take score bounds (they keep width where nothing
    differs); others Student's t. `controls` is (models, rows).
    """
    one, table = np.asarray(values, np.float64), np.asarray(controls, np.float64)
    if table.ndim != 2 or table.shape[0] < 1 or table.shape[1:] != one.shape:
        raise InputError(f"controls of shape {table.shape} for {one.shape[0] if one.ndim else 0} rows")
    if np.isin(one, (0, 1)).all() and np.isin(table, (0, 1)).all():
        return paired_success_bounds(one, table.mean(0), groups, alpha=alpha, min_groups=min_groups)
    return mean_bounds(one - table.mean(0), groups, alpha=alpha, min_groups=min_groups)


def leave_one_out_bounds(
    controls: Table, groups: Groups | None = None, *, alpha: float = 0.05, min_groups: int = MIN_GROUPS
) -> tuple[Bounds, ...]:
    """Return, a retrained model, the bounds of its difference to the mean of the other k - 1.

    Where one of them is not equivalent to the others the margin lies below the noise of training, and no model
    can be shown equivalent by it.
    """
    table = np.asarray(controls, np.float64)
    if table.ndim != 2 or len(table) < 2:
        raise InputError("the noise floor needs at least two retrained models")
    return tuple(
        paired_bounds(table[k], np.delete(table, k, axis=0), groups, alpha=alpha, min_groups=min_groups)
        for k in range(len(table))
    )


def highest_of_another(controls: Sequence[float] | FloatArray, *, alpha: float = 0.05) -> float:
    """Return the upper prediction bound for one more model of the kind of `controls`, one number each.

    mean + t_(k-1, 1 - alpha) s sqrt(1 + 1/k): another draw exceeds it with probability alpha, where models are normal. It is the
    mean itself where k models agree to the last digit. Source: Hahn 1970 (prediction intervals). Raises for fewer than two.
    """
    values = np.asarray(controls, np.float64)
    if len(values) < 2:
        raise InputError("the noise between models needs at least two of them")
    from scipy.stats import t

    k = len(values)
    return float(values.mean() + t.ppf(1 - alpha, k - 1) * values.std(ddof=1) * np.sqrt(1 + 1 / k))
