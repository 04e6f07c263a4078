"""Many symmetric positive definite systems at once: conjugate gradients, with one Cholesky factor that serves them all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
MOST = 200
"""Iterations after which the systems are left as they are."""


def solve_many(
    product: Callable[[Numbers, NDArray[np.bool_]], Numbers], factor: Any, wanted: Numbers, *, within: Numbers
) -> Numbers:
    """Return v, (width, systems), with |A_k v_k - wanted_k| at most `within`, (systems,), or what 200 iterations reach.

    `product(directions, which)` returns A_k d_k for the systems of the mask `which`, a column each. `factor` is what `cho_factor` made of a
    matrix near all A_k: an A_k that equals it is solved in one iteration. Each system has step lengths of its own (Hestenes and Stiefel
    1952), and those that are done are left out of the products.
    """
    from scipy.linalg import cho_solve

    found, left = np.zeros_like(wanted), wanted.copy()
    direction = cho_solve(factor, left)
    power = (left * direction).sum(0)
    for _ in range(MOST):
        which = np.linalg.norm(left, axis=0) > within
        if not which.any():
            break
        along = direction[:, which]
        curved = product(along, which)
        length = power[which] / (along * curved).sum(0)
        found[:, which] += length * along
        left[:, which] -= length * curved
        near = cho_solve(factor, left[:, which])
        new = (left[:, which] * near).sum(0)
        direction[:, which] = near + new / power[which] * along
        power[which] = new
    return found
