"""Ridge that forgets: equal to a refit after a hundred requests, and refused where it would not be."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from expunge.estimators.ridge import ExactRidge
from expunge.facts.errors import InputError


def rows(seed: int, count: int, width: int, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(count, width)) * scale + draw.normal(size=width)
    return x, x @ draw.normal(size=width) + 0.3 * draw.normal(size=count) + 2.0


def test_three_rows_by_hand() -> None:
    """Fails if alpha or the forgotten row's products are left out: x = 1, 2, 4 and y = 1, 2, 0, alpha 1: w = 5/22; without the last, 5/6."""
    x, y = np.array([[1.0], [2.0], [4.0]]), np.array([1.0, 2.0, 0.0])
    model = ExactRidge(alpha=1.0, fit_intercept=False).fit(x, y)
    assert model.coef_ == pytest.approx([5 / 22])
    assert model.forget(x[2:], y[2:]).coef_ == pytest.approx([5 / 6])


@pytest.mark.parametrize("alpha", [0.1, 1.0, 30.0])
@pytest.mark.parametrize("intercept", [True, False])
def test_a_hundred_requests_equal_a_refit(alpha: float, intercept: bool) -> None:
    """Fails if a request's sign or intercept column is wrong, or rounding adds up: 50 requests to learn and 50 to forget, 1e-8."""
    x, y = rows(1, 700, 20)
    model = ExactRidge(alpha=alpha, fit_intercept=intercept).fit(x[:400], y[:400])
    for i in range(50):
        learn = slice(400 + 6 * i, 406 + 6 * i)
        model.partial_fit(x[learn], y[learn]).forget(x[7 * i : 7 * i + 7], y[7 * i : 7 * i + 7])
    keep = slice(350, 700)
    refit = ExactRidge(alpha=alpha, fit_intercept=intercept).fit(x[keep], y[keep])
    peer = Ridge(alpha=alpha, fit_intercept=intercept).fit(x[keep], y[keep])
    for other in (refit, peer):
        assert np.abs(model.coef_ - other.coef_).max() < 1e-8
        assert abs(model.intercept_ - other.intercept_) < 1e-8


def test_fewer_rows_than_features_are_left() -> None:
    """Fails if the check refuses what is well within reach: 60 features, 30 rows left, alpha 0.1 (the inverse's recursion fails here)."""
    x, y = rows(2, 130, 60)
    model = ExactRidge(alpha=0.1).fit(x, y)
    for i in range(100):
        model.forget(x[i : i + 1], y[i : i + 1])
    refit = ExactRidge(alpha=0.1).fit(x[100:], y[100:])
    assert np.abs(model.coef_ - refit.coef_).max() < 1e-8


def test_the_bound_is_never_below_the_true_difference() -> None:
    """Fails if the bound on rounding leaves out the sums (small alpha) or the solve: 120 problems, alpha from 1e-9 to 1, and both outcomes occur."""
    refused = 0
    for seed in range(120):
        draw = np.random.default_rng(seed)
        x, y = rows(seed, 60, 12, float(10 ** draw.uniform(-2, 3)))
        kept = int(draw.integers(6, 50))
        alpha = float(10 ** draw.uniform(-9, 0))
        model = ExactRidge(alpha=alpha).fit(x, y)
        refit = ExactRidge(alpha=alpha).fit(x[-kept:], y[-kept:])
        try:
            model.forget(x[:-kept], y[:-kept])
        except InputError:
            assert len(model.rows_) == 60
            refused += 1
            continue
        weights = np.append(refit.coef_, refit.intercept_)
        apart = np.linalg.norm(np.append(model.coef_, model.intercept_) - weights)
        assert apart <= 1e-8 * max(1.0, np.linalg.norm(weights))
    assert 10 < refused < 110


def test_what_cannot_be_promised_is_refused_and_plain_subtraction_is_wrong_there() -> None:
    """Fails if the refusal is idle where float64 sums fail: 41 weights, 20 rows left of 300, alpha 1e-7; plain subtraction misses by over 1e-6.

    The sums with twice the digits are right even here (with the tolerance lifted), but no bound in terms of the condition number shows it.
    """
    x, y = rows(5, 300, 40, 100.0)
    with pytest.raises(InputError, match="over the tolerance"):
        ExactRidge(alpha=1e-7).fit(x, y).forget(x[20:], y[20:])
    refit = ExactRidge(alpha=1e-7, fit_intercept=False).fit(x[:20], y[:20])
    lifted = ExactRidge(alpha=1e-7, fit_intercept=False, tolerance=np.inf).fit(x, y).forget(x[20:], y[20:])
    plain = np.linalg.solve(x.T @ x - x[20:].T @ x[20:] + 1e-7 * np.eye(40), x.T @ y - x[20:].T @ y[20:])
    assert np.abs(plain - refit.coef_).max() > 1e-6
    assert np.abs(lifted.coef_ - refit.coef_).max() < 1e-8


def test_several_outputs() -> None:
    """Fails if outputs are mixed: a class's column of a one-hot target equals that target alone."""
    x, y = rows(6, 90, 5)
    both = np.stack([y, -2 * y + x[:, 0]], axis=1)
    model = ExactRidge().fit(x, both).forget(x[:20], both[:20])
    alone = ExactRidge().fit(x[20:], both[20:, 1])
    assert np.allclose(model.coef_[1], alone.coef_, rtol=0, atol=1e-10)
    with pytest.raises(InputError, match="1 columns"):
        model.forget(x[20:21], y[20:21])
    with pytest.raises(InputError, match="only above 0"):
        ExactRidge(alpha=0.0).fit(x, y)
