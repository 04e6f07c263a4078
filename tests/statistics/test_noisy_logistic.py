"""Noisy logistic regression: derivatives by differences, the step by hand, and the bound against the gradient that is left."""

from __future__ import annotations

import math

import numpy as np
import pytest

from expunge.facts.errors import InputError
from expunge.statistics.noisy_logistic import BEND, NoisyLogistic, check_trained


def problem(seed: int, n: int = 60, width: int = 3) -> NoisyLogistic:
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(n, width)) * 10 ** draw.uniform(-1, 0.5)
    y = (x @ draw.normal(size=width) + draw.logistic(size=n) > 0).astype(float)
    return NoisyLogistic(x, y, 10 ** draw.uniform(-3, -1), draw.normal(size=width))


def test_derivatives_are_those_of_the_loss() -> None:
    """Central differences, 5 problems. Fails if the noise, the n of the penalty or a sign is lost, or loss, gradient and Hessian differ in it."""
    for seed in range(5):
        one, w = problem(seed), np.random.default_rng(seed).normal(size=3)
        near = [1e-5 * direction for direction in np.eye(3)]
        slope = [(one.loss(w + d) - one.loss(w - d)) / 2e-5 for d in near]
        bend = [(one.gradient(w + d) - one.gradient(w - d)) / 2e-5 for d in near]
        assert one.gradient(w) == pytest.approx(slope, rel=1e-5, abs=1e-5)
        assert one.hessian(w) == pytest.approx(np.array(bend), rel=1e-5, abs=1e-5)


def test_one_row_by_hand() -> None:
    """x = 2, y = 1, strength 1/2, noise 1, w = 0: loss ln 2, gradient 2 (1/2 - 1) + 1 = 0, Hessian 4/4 + 1/2; so 0 is the minimiser.

    Fails if y is taken for -1 and 1, or the minimiser forgets the noise.
    """
    one = NoisyLogistic(np.array([[2.0]]), np.array([1.0]), 0.5, np.array([1.0]))
    assert one.loss(np.zeros(1)) == pytest.approx(math.log(2))
    assert one.gradient(np.zeros(1)) == pytest.approx([0.0])
    assert one.hessian(np.zeros(1)) == pytest.approx(np.array([[1.5]]))
    assert one.minimised(until=1e-12, start=np.array([3.0])) == pytest.approx([0.0], abs=1e-11)


def test_the_bend_is_the_largest_second_derivative() -> None:
    """Fails if gamma is too small, so that the bound is none, or the paper's 1/4: s'' = s (1 - s) (1 - 2s) on a grid."""
    s = 1 / (1 + np.exp(-np.linspace(-6, 6, 100_001)))
    assert np.abs(s * (1 - s) * (1 - 2 * s)).max() == pytest.approx(BEND, rel=1e-6)


def test_the_bound_is_above_what_the_step_leaves() -> None:
    """200 problems, 6 of 60 rows out: the gradient over the 54 others is at most the bound, at the worst over a fifth of it, and falls from
    that of standing still. Fails if a factor is lost, the step has the wrong sign, or the bound says nothing."""
    shares = []
    for seed in range(200):
        both = problem(seed)
        weights = both.minimised(until=1e-11)
        kept = NoisyLogistic(both.x[6:], both.y[6:], both.strength, both.noise)
        gone = NoisyLogistic(both.x[:6], both.y[:6], both.strength)
        step, bound = kept.removal(gone, weights, size=float(np.linalg.norm(kept.x, 2)))
        left = float(np.linalg.norm(kept.gradient(weights + step)))
        assert left <= bound + 1e-10
        assert left < np.linalg.norm(kept.gradient(weights))
        shares.append(left / bound)
    assert max(shares) > 0.2


def test_a_training_that_spends_the_budget_is_refused() -> None:
    """Fails if what the optimiser leaves may eat the budget unseen."""
    check_trained(0.01, 1.0)
    with pytest.raises(InputError, match=r"gradient of norm 1.1e-02, over 1% of the budget 1.0e\+00"):
        check_trained(0.011, 1.0)
