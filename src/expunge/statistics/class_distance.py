"""How far two distributions over classes lie apart, row by row."""

from __future__ import annotations

import numpy as np

from expunge.facts.errors import InputError
from expunge.statistics.clusters import FloatArray


def jensen_shannon(one: FloatArray, two: FloatArray) -> FloatArray:
    """Return the Jensen-Shannon divergence in bits, in [0, 1], of each row of two (rows, classes) arrays of log-probabilities.

    (KL(p || m) + KL(q || m)) / 2 with m = (p + q) / 2, summed over classes: a mean over classes would divide it by their number.
    Source: Lin 1991.
    """
    _same(one, two)
    middle = np.logaddexp(one, two) - np.log(2)

    def to_middle(log_p: FloatArray) -> FloatArray:
        p = np.exp(log_p)
        return np.asarray((p * np.where(p > 0, log_p - np.where(p > 0, middle, 0.0), 0.0)).sum(1), np.float64)

    bits = (to_middle(one) + to_middle(two)) / (2 * np.log(2))
    return np.asarray(bits.clip(0.0, 1.0), np.float64)


def euclidean(one: FloatArray, two: FloatArray) -> FloatArray:
    """Return ||p - q||_2, in [0, sqrt 2], of each row of two (rows, classes) arrays of log-probabilities."""
    _same(one, two)
    return np.asarray(np.linalg.norm(np.exp(one) - np.exp(two), axis=1), np.float64)


def _same(one: FloatArray, two: FloatArray) -> None:
    if one.ndim != 2 or one.shape != two.shape:
        raise InputError(f"predictions {one.shape} and {two.shape} are not of the same rows and classes")
