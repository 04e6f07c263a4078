"""The two-sample Kolmogorov-Smirnov test, exact."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from expunge.statistics.clusters import FloatArray, numbers


def ks_two_sample(one: Sequence[float] | FloatArray, two: Sequence[float] | FloatArray) -> tuple[float, float]:
    """Return the KS statistic and its exact two-sided p-value.

    Raises on NaN and on an empty sample, and where the exact p-value cannot be computed: scipy would switch to the
    asymptotic one with a warning, and p-values of the two kinds cannot be compared.
    A small p shows a difference; a large one shows nothing: it is no evidence that the two are alike.
    """
    from scipy.stats import ks_2samp

    first, second = numbers(one, "first sample"), numbers(two, "second sample")
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        found = ks_2samp(first, second, method="exact")
    return float(found.statistic), float(found.pvalue)
