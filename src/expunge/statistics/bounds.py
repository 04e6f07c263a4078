"""One-sided bounds of a difference that never collapse to a point: 0 of 80 against 0 of 80 still has width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from expunge.facts.errors import InputError
from expunge.statistics.clusters import MIN_GROUPS, FloatArray, Groups, Spread, critical, numbers, spread

POWER = 0.8


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """An estimate and its two bounds, each at the one-sided level alpha.

    `smallest_visible` = (high - estimate) + z_power * error: the smallest margin that a model no worse than its control
    passes with power 0.8, which to first order is also the smallest true difference that a one-sided test finds with
    that power. `groups` is 0 where rows stand alone.
    """

    estimate: float
    low: float
    high: float
    smallest_visible: float
    n: int
    groups: int = 0


def success_bounds(
    values: Sequence[float] | FloatArray,
    groups: Groups | None = None,
    *,
    floor: float = 0.0,
    ceiling: float = 1.0,
    alpha: float = 0.05,
    min_groups: int = MIN_GROUPS,
) -> Bounds:
    """Return score bounds for the mean of values that lie in [floor, ceiling].

    A success never seen may still be there, so the variance is taken under the bound tested, not under the sample: to
    raise the mean by u the least favourable sample mixes in the ceiling with weight u / room, room = ceiling - mean.
    (u - 1 / 2n)^2 = t^2 / n * [(1 - u / room) * s^2 * design_effect + u * (room - u) * unseen_effect]; the half row is a
    continuity correction, t is normal for single rows and Student's t_(G-1) for clusters. For 0/1 values and single
    rows this is Wilson's interval with continuity correction (Newcombe's method 4).
    Source: Newcombe 1998 (Stat. Med. 17:857); Kish 1965 and Korn & Graubard 1998 for the design effect.
    Differs: the mixture is ours; Tango's restricted likelihood is defined for 0/1 pairs only, and here the control is
    a mean over several models.
    """
    array = numbers(values)
    if array.min() < floor - 1e-12 or array.max() > ceiling + 1e-12:
        raise InputError(f"values lie in [{array.min():g}, {array.max():g}], outside [{floor:g}, {ceiling:g}]")
    up = spread(array, groups, min_groups=min_groups)
    t = critical(alpha, up.degrees if up.clustered else np.inf)
    above = _score_width(up, ceiling - up.mean, t)
    below = _score_width(up, up.mean - floor, t)
    return Bounds(
        estimate=up.mean,
        low=up.mean - below,
        high=up.mean + above,
        smallest_visible=above + _power(up) * up.error,
        n=up.n,
        groups=up.groups,
    )


def paired_success_bounds(
    values: Sequence[float] | FloatArray,
    control: Sequence[float] | FloatArray,
    groups: Groups | None = None,
    *,
    alpha: float = 0.05,
    min_groups: int = MIN_GROUPS,
) -> Bounds:
    """Return score bounds for mean(values - control), row by row, both in [0, 1]."""
    one, other = numbers(values), numbers(control, "control values")
    if len(one) != len(other):
        raise InputError(f"{len(one)} rows against {len(other)} of the control")
    if min(one.min(), other.min()) < 0 or max(one.max(), other.max()) > 1:
        raise InputError("a success lies outside [0, 1]")
    return success_bounds(one - other, groups, floor=-1.0, alpha=alpha, min_groups=min_groups)


def unpaired_success_bounds(
    values: Sequence[float] | FloatArray,
    control: Sequence[float] | FloatArray,
    groups: Groups | None = None,
    control_groups: Groups | None = None,
    *,
    alpha: float = 0.05,
    min_groups: int = MIN_GROUPS,
) -> Bounds:
    """Return Newcombe's hybrid score bounds for mean(values) - mean(control), two samples of other rows.

    high = d + sqrt((high_1 - p_1)^2 + (p_2 - low_2)^2) from the two score intervals, low likewise.
    Source: Newcombe 1998 (Stat. Med. 17:873), method 10 and 11.
    """
    one = success_bounds(values, groups, alpha=alpha, min_groups=min_groups)
    two = success_bounds(control, control_groups, alpha=alpha, min_groups=min_groups)
    difference = one.estimate - two.estimate
    above = float(np.hypot(one.high - one.estimate, two.estimate - two.low))
    below = float(np.hypot(one.estimate - one.low, two.high - two.estimate))
    power = np.hypot(one.smallest_visible - one.high + one.estimate, two.smallest_visible - two.high + two.estimate)
    return Bounds(
        estimate=difference,
        low=difference - below,
        high=difference + above,
        smallest_visible=above + float(power),
        n=one.n,
        groups=one.groups,
    )


def mean_bounds(
    values: Sequence[float] | FloatArray,
    groups: Groups | None = None,
    *,
    alpha: float = 0.05,
    min_groups: int = MIN_GROUPS,
) -> Bounds:
    """Return Student's t bounds for the mean of continuous values, clusters as units where there are enough of them."""
    array = numbers(values)
    if len(array) < 2:
        raise InputError("the spread of one number cannot be known")
    up = spread(array, groups, min_groups=min_groups)
    width = critical(alpha, up.degrees) * up.error
    return Bounds(
        estimate=up.mean,
        low=up.mean - width,
        high=up.mean + width,
        smallest_visible=width + _power(up) * up.error,
        n=up.n,
        groups=up.groups,
    )


def _power(up: Spread) -> float:
    return critical(1 - POWER, up.degrees if up.clustered else np.inf)


def _score_width(up: Spread, room: float, t: float) -> float:
    """Solve the quadratic of `success_bounds` for u, the distance from the mean to the bound."""
    correction = 0.5 / up.n
    if room <= correction:
        return room
    c = t * t / up.n
    seen = up.variance * up.design_effect
    square = 1 + c * up.unseen_effect
    linear = c * (seen / room - room * up.unseen_effect) - 2 * correction
    constant = correction**2 - c * seen
    return min(room, float((-linear + np.sqrt(linear**2 - 4 * square * constant)) / (2 * square)))
