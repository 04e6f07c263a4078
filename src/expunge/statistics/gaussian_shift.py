"""How well Gaussian noise hides a shift: the (epsilon, delta) of two Gaussians that stand `shift` standard deviations apart.

Two bounds, and the more careful of them counts: the theorem of certified removal, delta = 1.5 exp(-c^2 / 2) at epsilon = c shift
(Guo et al. 2020, arXiv 1911.03030, theorem 3), whose proof is that of the Gaussian mechanism and fails at large epsilon; and the exact
curve, delta(epsilon) = Phi(shift / 2 - epsilon / shift) - e^epsilon Phi(-shift / 2 - epsilon / shift) (Balle and Wang 2018,
arXiv 1805.06530).
"""

from __future__ import annotations

import math

from expunge.facts.errors import InputError

LARGEST = 1e4


def delta_of_shift(shift: float, epsilon: float) -> float:
    """Return the least delta at which a shift is hidden with epsilon, by the exact curve."""
    from scipy.special import log_ndtr

    if shift == 0:
        return 0.0
    high, low = shift / 2 - epsilon / shift, -shift / 2 - epsilon / shift
    return float(math.exp(log_ndtr(high)) - math.exp(epsilon + log_ndtr(low)))


def epsilon_of_shift(shift: float, delta: float) -> float:
    """Return an epsilon at which a shift is hidden with delta: the larger of the theorem's and the exact curve's."""
    from scipy.optimize import brentq

    if not 0 < delta < 1 or not 0 <= shift < math.inf:
        raise InputError(
            f"delta is {delta} and the shift {shift}: delta must lie between 0 and 1, the shift must be finite and not negative"
        )
    simple = shift * math.sqrt(2 * math.log(1.5 / delta))
    if delta_of_shift(shift, simple) <= delta:
        return simple
    return float(
        brentq(lambda epsilon: delta_of_shift(shift, epsilon) - delta, simple, simple + shift * (shift + LARGEST))
    )


def shift_of_epsilon(epsilon: float, delta: float) -> float:
    """Return the largest shift that is hidden with (epsilon, delta): the inverse of `epsilon_of_shift`."""
    from scipy.optimize import brentq

    if not 0 < epsilon < math.inf or not 0 < delta < 1:
        raise InputError(f"epsilon is {epsilon} and delta {delta}: epsilon must be above 0 and delta between 0 and 1")
    simple = epsilon / math.sqrt(2 * math.log(1.5 / delta))
    if delta_of_shift(simple, epsilon) <= delta:
        return simple
    return float(brentq(lambda shift: delta_of_shift(shift, epsilon) - delta, simple * 1e-6, simple))
