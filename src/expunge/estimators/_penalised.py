"""Least squares with a penalty of alpha on its diagonal: what alpha may be, and the weights from two sums with a bound on their error."""

from __future__ import annotations

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve, eigvalsh

from expunge.estimators._rows import Numbers
from expunge.estimators._sums import UNIT, ProductSum
from expunge.facts.errors import InputError


def check_alpha(alpha: float) -> None:
    """Refuse a penalty under which the smallest eigenvalue may be 0."""
    if not alpha > 0:
        raise InputError(f"alpha is {alpha}, and rows can be taken out again only above 0", do="set alpha=0.1 or more")


def solve(gram: ProductSum, moment: ProductSum, penalty: Numbers) -> tuple[Numbers, float]:
    """Return w = A^-1 X'y, (width, outputs), A = X'X + diag(penalty), and how far w may be from that of the true sums, in norm.

    The error is at most 2 (e_XX |w| + e_Xy + d u |A| |w|) / s: e the bounds on the sums' errors, d the width, u the unit of rounding,
    |A| the largest and s the smallest eigenvalue of A; infinite where s is not above 0. A that has no Cholesky factor is refused.
    """
    system = gram.value() + np.diag(penalty)
    try:
        weights: Numbers = cho_solve(cho_factor(system), moment.value())
    except LinAlgError as error:
        raise InputError(
            "X'X + alpha I cannot be factorised in float64", do="scale the features or set a larger alpha"
        ) from error
    spread = eigvalsh(system)
    size, least = float(np.linalg.norm(weights)), float(spread[0])
    rounding = gram.bound() * size + moment.bound() + len(system) * UNIT * float(spread[-1]) * size
    return weights, 2 * rounding / least if least > 0 else np.inf
