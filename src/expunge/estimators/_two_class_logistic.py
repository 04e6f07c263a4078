"""The noisy logistic regression of two classes over flat vectors: one problem of NoisyLogistic, which solves many side by side.

Rows X, (n, width); labels y of 0 or 1, (n,); weights and noise, (width,). `strength` is the penalty's share of each row.
"""

from __future__ import annotations

import numpy as np

from expunge.estimators._rows import Numbers
from expunge.statistics.noisy_logistic import NoisyLogistic


def minimise(X: Numbers, y: Numbers, noise: Numbers, *, strength: float, until: float) -> Numbers:
    """Return the weights at which the gradient's norm is at most `until`, or what a hundred damped Newton steps from 0 reach."""
    problem = NoisyLogistic(X, y[:, None], strength, noise[:, None])
    return problem.minimised(until=until, start=np.zeros((X.shape[1], 1)))[:, 0]


def residual_of(X: Numbers, y: Numbers, noise: Numbers, weights: Numbers, *, strength: float) -> float:
    """Return the norm of the gradient at these weights."""
    problem = NoisyLogistic(X, y[:, None], strength, noise[:, None])
    return float(np.linalg.norm(problem.gradient(weights[:, None])))


def take_out(
    X: Numbers, y: Numbers, X_gone: Numbers, y_gone: Numbers, weights: Numbers, *, strength: float, size: float
) -> tuple[Numbers, float]:
    """Return the weights one Newton step on, over the kept rows X, y, and what that adds to the bound on their residual.

    `size` is at least the spectral norm of X. The noise is not needed: it is the same before and after.
    """
    kept, lost = NoisyLogistic(X, y[:, None], strength), NoisyLogistic(X_gone, y_gone[:, None], strength)
    step, left = kept.removal(lost, weights[:, None], size=size)
    return weights + step[:, 0], float(left[0])
