"""Correction for many tests, for the list of attacks that did find leakage and for nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from expunge.statistics.clusters import FloatArray, numbers


def holm(p_values: Sequence[float] | FloatArray) -> FloatArray:
    """Return Holm's adjusted p-values, in the order given.

    Sorted ascending, p_(i) becomes max_{j <= i} min(1, (m - j + 1) p_(j)).  Source: Holm 1979.
    Never part of a verdict: there every attack must pass its own test (intersection-union), which needs no correction,
    and correcting would let a model that leaks through one attack of twenty pass more often.
    """
    p = numbers(p_values, "p-values")
    order = np.argsort(p, kind="stable")
    scaled = np.minimum(1.0, (len(p) - np.arange(len(p))) * p[order])
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(scaled)
    return adjusted
