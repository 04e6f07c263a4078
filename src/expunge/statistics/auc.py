"""The area under the ROC curve of member scores, its bounds, and the true positives at few false ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from expunge.facts.errors import InputError
from expunge.statistics.bounds import POWER, Bounds
from expunge.statistics.clusters import MIN_GROUPS, FloatArray, Groups, Spread, critical, numbers, spread
from expunge.statistics.intervals import Interval, clopper_pearson

Scores = Sequence[float] | FloatArray


def placements(members: FloatArray, others: FloatArray) -> FloatArray:
    """Return, a member, the share of others below it; ties count one half."""
    ordered = np.sort(others)
    below, to = np.searchsorted(ordered, members, "left"), np.searchsorted(ordered, members, "right")
    return np.asarray((below + to) / (2 * len(others)), np.float64)


def auc(members: Scores, others: Scores) -> float:
    """Return P(member > other) + P(member = other) / 2; raises where either is empty or not finite, never 0.5 instead."""
    return float(placements(numbers(members, "member scores"), numbers(others, "non-member scores")).mean())


def auc_bounds(
    members: Scores,
    others: Scores,
    groups: Groups | None = None,
    other_groups: Groups | None = None,
    *,
    alpha: float = 0.05,
    min_groups: int = MIN_GROUPS,
) -> Bounds:
    """Return the AUC with bounds from its placements (DeLong), clusters as units where there are enough of them.

    Var = Var(placements of members) / m + Var(placements of others) / n, with cluster sums for clustered rows
    (Obuchowski 1997), t with Welch's degrees of freedom. Never narrower than the score bound of a sample without
    spread, so that an AUC of 1 has a lower bound below 1.
    Source: DeLong et al. 1988 (Biometrics 44:837); Obuchowski 1997 (Biometrics 53:567).
    """
    one, two = _both_placements(members, others)
    return _bounds(one, two, groups, other_groups, alpha=alpha, min_groups=min_groups, floor=0.0)


def auc_difference_bounds(
    members: Scores,
    others: Scores,
    controls: Sequence[tuple[Scores, Scores]],
    groups: Groups | None = None,
    other_groups: Groups | None = None,
    *,
    alpha: float = 0.05,
    min_groups: int = MIN_GROUPS,
) -> Bounds:
    """Return AUC minus the mean AUC of the controls on the same rows, paired row by row through the placements."""
    if not controls:
        raise InputError("no control to compare the AUC with")
    one, two = _both_placements(members, others)
    for control_members, control_others in controls:
        if len(control_members) != len(one) or len(control_others) != len(two):
            raise InputError("the control scored other rows")
        minus_one, minus_two = _both_placements(control_members, control_others)
        one, two = one - minus_one / len(controls), two - minus_two / len(controls)
    return _bounds(one, two, groups, other_groups, alpha=alpha, min_groups=min_groups, floor=-1.0)


def tpr_at_fpr(members: Scores, others: Scores, fpr: float, *, confidence: float = 0.95) -> Interval:
    """Return the share of members above the threshold that at most `fpr` of the others exceed, with its exact interval.

    The threshold is the highest score among the others that may not pass, so ties never raise the false positives. The
    interval (Clopper-Pearson) takes the threshold as given. Refuses a rate that the others are too few to show.
    """
    inside, outside = numbers(members, "member scores"), numbers(others, "non-member scores")
    allowed = int(np.floor(fpr * len(outside) + 1e-9))
    if not 0 < fpr < 1 or allowed < 1:
        raise InputError(f"{len(outside)} non-members cannot show a false positive rate of {fpr:g}")
    threshold = np.sort(outside)[::-1][allowed]
    return clopper_pearson(int((inside > threshold).sum()), len(inside), confidence=confidence)


def _both_placements(members: Scores, others: Scores) -> tuple[FloatArray, FloatArray]:
    """Return the placements of members among others, whose mean is the AUC, and of others among members, read for scatter only."""
    inside, outside = numbers(members, "member scores"), numbers(others, "non-member scores")
    return placements(inside, outside), placements(outside, inside)


def _bounds(
    one: FloatArray,
    two: FloatArray,
    groups: Groups | None,
    other_groups: Groups | None,
    *,
    alpha: float,
    min_groups: int,
    floor: float,
) -> Bounds:
    sides = spread(one, groups, min_groups=min_groups), spread(two, other_groups, min_groups=min_groups)
    estimate = sides[0].mean
    error = float(np.hypot(sides[0].error, sides[1].error))
    degrees = _welch(sides)
    t = critical(alpha, degrees)
    least = t * t * sum(side.design_effect / side.n for side in sides)
    least /= 1 + least
    above, below = max(t * error, least * (1 - estimate)), max(t * error, least * (estimate - floor))
    return Bounds(
        estimate=estimate,
        low=estimate - below,
        high=estimate + above,
        smallest_visible=above + critical(1 - POWER, degrees) * error,
        n=sides[0].n,
        groups=sides[0].groups,
    )


def _welch(sides: tuple[Spread, Spread]) -> float:
    """Return Welch-Satterthwaite degrees of freedom; those of the smaller side where neither scatters."""
    shares = [side.error**2 for side in sides]
    if any(side.degrees < 1 for side in sides):
        raise InputError("an AUC needs at least two rows on each side")
    if not sum(shares):
        return float(min(side.degrees for side in sides))
    return float(sum(shares) ** 2 / sum(share**2 / side.degrees for share, side in zip(shares, sides, strict=True)))
