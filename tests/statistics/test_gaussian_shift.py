"""How well Gaussian noise hides a shift: against integration, and the careful one of two bounds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from expunge.facts.errors import InputError
from expunge.statistics.gaussian_shift import delta_of_shift, epsilon_of_shift, shift_of_epsilon


@pytest.mark.parametrize(("shift", "epsilon"), [(0.2, 0.5), (1.0, 1.0), (1.7, 8.0), (3.0, 4.0)])
def test_the_curve_is_the_integral(shift: float, epsilon: float) -> None:
    """Fails if a sign or e^epsilon is lost: delta = integral of (p - e^epsilon q)+ for N(shift, 1) and N(0, 1)."""
    edge = epsilon / shift + shift / 2
    wanted, _ = quad(lambda z: norm.pdf(z, shift) - np.exp(epsilon) * norm.pdf(z), edge, edge + 15, epsabs=1e-14)
    assert delta_of_shift(shift, epsilon) == pytest.approx(wanted, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("delta", [1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize("epsilon", [0.01, 1.0, 8.0, 40.0])
def test_the_largest_shift_keeps_both_bounds(epsilon: float, delta: float) -> None:
    """Fails if only the theorem (wrong at large epsilon) or only the curve is used, or the two functions are not each other's inverse."""
    shift = shift_of_epsilon(epsilon, delta)
    simple = epsilon / np.sqrt(2 * np.log(1.5 / delta))
    assert shift <= simple * (1 + 1e-12)
    assert delta_of_shift(shift, epsilon) <= delta * (1 + 1e-6)
    assert epsilon_of_shift(shift, delta) == pytest.approx(epsilon, rel=1e-6)
    assert epsilon_of_shift(2 * shift, delta) > epsilon


def test_the_theorem_fails_at_large_epsilon() -> None:
    """Fails if the exact curve is idle: at epsilon 40 and delta 0.01 the theorem's shift has a larger delta."""
    simple = 40 / np.sqrt(2 * np.log(150))
    assert delta_of_shift(simple, 40.0) > 0.01
    assert shift_of_epsilon(40.0, 0.01) < simple


def test_no_shift_and_no_sense() -> None:
    """Fails if no shift costs something, or an impossible delta is answered."""
    assert epsilon_of_shift(0.0, 1e-4) == 0.0
    for shift, delta in ((1.0, 0.0), (1.0, 1.0), (-1.0, 0.1), (np.inf, 0.1)):
        with pytest.raises(InputError):
            epsilon_of_shift(shift, delta)
    with pytest.raises(InputError):
        shift_of_epsilon(0.0, 0.1)
