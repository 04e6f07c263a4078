"""Noisy logistic regression: derivatives by differences, the step by hand, and the bound against the gradient that is left."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from expunge.facts.errors import InputError
from expunge.statistics.noisy_logistic import BEND, NoisyLogistic, check_trained


def made(seed: int, n: int = 60, width: int = 3, problems: int = 2) -> NoisyLogistic:
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(n, width)) * 10 ** draw.uniform(-1, 0.5)
    y = (x @ draw.normal(size=(width, problems)) + draw.logistic(size=(n, problems)) > 0).astype(float)
    return NoisyLogistic(x, y, 10 ** draw.uniform(-3, -1), draw.normal(size=(width, problems)))


def test_derivatives_are_those_of_the_loss() -> None:
    """Central differences, 5 times 2 problems. Fails if the noise, the n of the penalty or a sign is lost, loss, gradient and Hessian differ
    in it, or one problem's labels or noise reach another."""
    for seed in range(5):
        both, w = made(seed), np.random.default_rng(seed).normal(size=(3, 2))
        for d in np.eye(3)[:, :, None] * 1e-5:
            slope, bend = (
                (both.loss(w + d) - both.loss(w - d)) / 2e-5,
                (both.gradient(w + d) - both.gradient(w - d)) / 2e-5,
            )
            assert (both.gradient(w) * d).sum(0) / 1e-5 == pytest.approx(slope, rel=1e-5, abs=1e-5)
            assert both.curved(both.bend(w), np.repeat(d, 2, 1) / 1e-5) == pytest.approx(bend, rel=1e-5, abs=1e-5)


def test_one_row_by_hand() -> None:
    """x = 2, y = 1, strength 1/2, noise 1, w = 0: loss ln 2, gradient 2 (1/2 - 1) + 1 = 0, Hessian 4/4 + 1/2; so 0 is the minimiser.

    Fails if y is taken for -1 and 1, or the minimiser forgets the noise.
    """
    one, zero = NoisyLogistic(np.array([[2.0]]), np.array([[1.0]]), 0.5, np.array([[1.0]])), np.zeros((1, 1))
    assert one.loss(zero) == pytest.approx(math.log(2))
    assert one.gradient(zero) == pytest.approx(zero)
    assert one.curved(one.bend(zero), np.array([[2.0]])) == pytest.approx(np.array([[3.0]]))
    assert one.minimised(until=1e-12, start=np.array([[3.0]])) == pytest.approx(zero, abs=1e-11)


def test_problems_together_are_each_alone() -> None:
    """Nine problems: minimisers, steps and bounds are those of each by itself. Fails if a problem that is done moves on, or takes another's
    step length."""
    whole = made(3, n=80, width=6, problems=9)
    whole = replace(whole, y=np.where(np.arange(9) < 3, whole.y, np.random.default_rng(0).random(whole.y.shape) < 0.05))
    out = replace(whole, x=whole.x[:5], y=whole.y[:5], noise=0.0)
    kept = replace(whole, x=whole.x[5:], y=whole.y[5:])
    weights = whole.minimised(until=1e-11, start=np.zeros((6, 9)))
    assert np.linalg.norm(whole.gradient(weights), axis=0).max() <= 1e-11
    step, left = kept.removal(out, weights, size=9.0)
    for k in range(9):
        one = [each.some(np.arange(9) == k) for each in (whole, kept, out)]
        assert one[0].minimised(until=1e-11, start=np.zeros((6, 1))) == pytest.approx(
            weights[:, [k]], rel=1e-9, abs=1e-11
        )
        alone = one[1].removal(one[2], weights[:, [k]], size=9.0)
        assert alone[0] == pytest.approx(step[:, [k]], rel=1e-9, abs=1e-12)
        assert alone[1] == pytest.approx(left[[k]], rel=1e-9)


def test_training_ends_where_the_loss_no_longer_tells_steps_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """20,000 rows, of whose loss a step near the end changes less than its rounding: the gradient gets to its bound in a dozen Newton steps.

    Fails if a loss that rose by rounding alone halves the step: five of these eight gradients then stay above it.
    """
    draw = np.random.default_rng(0)
    labels = (draw.random((20_000, 8)) < 0.01).astype(float)
    one = NoisyLogistic(draw.gamma(1.0, size=(20_000, 20)), labels, 1e-2, 3 * draw.normal(size=(20, 8)))
    solved: list[int] = []
    true = NoisyLogistic.solve

    def counted(self: NoisyLogistic, weights: np.ndarray, wanted: np.ndarray, *, within: np.ndarray) -> np.ndarray:
        solved.append(wanted.shape[1])
        return true(self, weights, wanted, within=within)

    monkeypatch.setattr(NoisyLogistic, "solve", counted)
    weights = one.minimised(until=3e-9, start=np.zeros((20, 8)))
    assert np.linalg.norm(one.gradient(weights), axis=0).max() <= 3e-9
    assert len(solved) < 15


def test_the_bend_is_the_largest_second_derivative() -> None:
    """Fails if gamma is too small, so that the bound is none, or the paper's 1/4: s'' = s (1 - s) (1 - 2s) on a grid."""
    s = 1 / (1 + np.exp(-np.linspace(-6, 6, 100_001)))
    assert np.abs(s * (1 - s) * (1 - 2 * s)).max() == pytest.approx(BEND, rel=1e-6)


def test_the_bound_is_above_what_the_step_leaves() -> None:
    """200 times 2 problems, 6 of 60 rows out: the gradient over the 54 others is at most the bound, at the worst over a fifth of it, and falls from
    that of standing still. Fails if a factor is lost, the step has the wrong sign, or the bound says nothing."""
    shares = []
    for seed in range(200):
        both = made(seed)
        weights = both.minimised(until=1e-11, start=np.zeros((3, 2)))
        kept = NoisyLogistic(both.x[6:], both.y[6:], both.strength, both.noise)
        gone = NoisyLogistic(both.x[:6], both.y[:6], both.strength)
        step, bound = kept.removal(gone, weights, size=float(np.linalg.norm(kept.x, 2)))
        left = np.linalg.norm(kept.gradient(weights + step), axis=0)
        assert (left <= bound + 1e-10).all()
        assert (left < np.linalg.norm(kept.gradient(weights), axis=0)).all()
        shares.append(float((left / bound).max()))
    assert max(shares) > 0.2


def test_a_training_that_spends_the_budget_is_refused() -> None:
    """Fails if what the optimiser leaves may eat the budget unseen."""
    check_trained(0.01, 1.0)
    with pytest.raises(InputError, match=r"gradient of norm 1.1e-02, over 1% of the budget 1.0e\+00"):
        check_trained(0.011, 1.0)
