"""An intercept as one more weight, the last, over a column of ones."""

from __future__ import annotations

import numpy as np

from expunge.estimators._rows import Numbers


def with_ones(X: Numbers, fit_intercept: bool) -> Numbers:
    """Return a copy of rows (n, features), with a column of ones at the end where an intercept is fitted."""
    return np.column_stack([X, np.ones(len(X))]) if fit_intercept else X.copy()


def coefficients(weights: Numbers, fit_intercept: bool) -> tuple[Numbers, Numbers]:
    """Return the slopes, (outputs, features), and the constants, (outputs,), of weights (width, outputs)."""
    if fit_intercept:
        return weights[:-1].T, weights[-1]
    return weights.T, np.zeros(weights.shape[1])
