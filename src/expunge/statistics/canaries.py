"""A lower bound on epsilon that was seen: how well a threshold tells trainings with some rows from trainings without them.

(epsilon, delta) allow a test to hit with probability at most e^epsilon times that of a false alarm, plus delta, either way round: with
H the share above the threshold among trainings with the rows (then removed) and F among those without, epsilon is at least
log((H - delta) / F) and log((1 - F - delta) / (1 - H)). H is taken at its lower and F at its upper Clopper-Pearson limit at 97.5% each,
so that both limits hold together at 95%, and with them both readings.
Source: Jagielski, Ullman, Oprea 2020, arXiv 2006.07709; Nasr et al. 2021, arXiv 2101.04535.
"""

from __future__ import annotations

import math

import numpy as np

from expunge.facts.errors import InputError
from expunge.statistics.clusters import FloatArray
from expunge.statistics.intervals import clopper_pearson


def epsilon_seen(with_rows: FloatArray, without: FloatArray, *, threshold: float, delta: float) -> float:
    """Return the 95% lower bound on epsilon, 0 where nothing was told apart, for a threshold that these scores did not choose."""
    if not len(with_rows) or not len(without):
        raise InputError("a lower bound on epsilon needs trainings with the rows and trainings without")
    hit = clopper_pearson(int((with_rows > threshold).sum()), len(with_rows)).low
    alarm = clopper_pearson(int((without > threshold).sum()), len(without)).high
    readings = ((hit - delta, alarm), (1 - alarm - delta, 1 - hit))
    return max(0.0, *(math.log(above / below) for above, below in readings if above > 0))


def best_threshold(with_rows: FloatArray, without: FloatArray, *, delta: float) -> float:
    """Return the threshold at which scores that will not be counted give the largest bound; ties go to the middle one."""
    scores = np.unique(np.concatenate([with_rows, without]))
    middles = (scores[1:] + scores[:-1]) / 2 if len(scores) > 1 else scores
    found = [epsilon_seen(with_rows, without, threshold=float(at), delta=delta) for at in middles]
    best = np.flatnonzero(np.array(found) >= max(found))
    return float(middles[best[len(best) // 2]])


def epsilon_low(with_rows: FloatArray, without: FloatArray, *, delta: float) -> float:
    """Return the 95% lower bound on epsilon from two samples of models, (trainings, width), one row a training.

    The first half of each chooses the direction, in which the means differ, and the threshold; the second half is counted.
    """
    half = len(with_rows) // 2
    if min(half, len(without) // 2) < 1 or len(with_rows) != len(without):
        raise InputError(f"{len(with_rows)} trainings with the rows and {len(without)} without cannot be halved alike")
    direction = with_rows[:half].mean(0) - without[:half].mean(0)
    one, other = with_rows @ direction, without @ direction
    threshold = best_threshold(one[:half], other[:half], delta=delta)
    return epsilon_seen(one[half:], other[half:], threshold=threshold, delta=delta)
