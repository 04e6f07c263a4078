"""Kernel ridge that forgets: equal to a refit, and re-solved where the downdate is not good enough."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge

from expunge.estimators.kernel_ridge import ExactKernelRidge
from expunge.facts.errors import InputError


def rows(seed: int, count: int = 150) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(count, 4))
    return x, np.sin(x).sum(1) + 0.1 * draw.normal(size=count)


def test_two_rows_by_hand() -> None:
    """Fails if alpha is left out of the downdate: x = 1, 2, linear, alpha 1, y = 1, 5; without the second row, w = 1/2."""
    x, y = np.array([[1.0], [2.0]]), np.array([1.0, 5.0])
    model = ExactKernelRidge(kernel="linear").fit(x, y)
    assert model.dual_coef_ == pytest.approx([-5 / 6, 8 / 6])
    assert model.forget(x[1:], y[1:]).dual_coef_ == pytest.approx([0.5])
    assert model.predict([[3.0]]) == pytest.approx([1.5])


@pytest.mark.parametrize("kernel", ["rbf", "linear", "poly", "laplacian"])
@pytest.mark.parametrize("alpha", [1e-3, 1.0])
def test_fifty_requests_equal_a_refit(kernel: str, alpha: float) -> None:
    """Fails if rows and columns of the inverse are struck out in another order than those of X and y."""
    x, y = rows(0)
    order = np.random.default_rng(1).permutation(150)
    model = ExactKernelRidge(kernel=kernel, alpha=alpha).fit(x, y)
    for i in range(50):
        model.forget(x[order[2 * i : 2 * i + 2]], y[order[2 * i : 2 * i + 2]])
    kept = np.sort(order[100:])
    refit = ExactKernelRidge(kernel=kernel, alpha=alpha).fit(x[kept], y[kept])
    peer = KernelRidge(kernel=kernel, alpha=alpha).fit(x[kept], y[kept])
    scale = max(1.0, float(np.linalg.norm(refit.dual_coef_)))
    assert np.linalg.norm(model.dual_coef_ - refit.dual_coef_) <= 2e-9 * scale
    assert np.allclose(model.predict(x), peer.predict(x), rtol=0, atol=1e-7)


def test_a_bad_downdate_is_solved_again() -> None:
    """Fails if the check is idle: at alpha 1e-7 with many near-copies some removals are re-solved, and the residual is as small as the refit's."""
    x, y = rows(2)
    x[75:] = x[:75] + 1e-9
    model = ExactKernelRidge(kernel="poly", alpha=1e-7).fit(x, y)
    for i in range(20):
        model.forget(x[i : i + 1], y[i : i + 1])
    refit = ExactKernelRidge(kernel="poly", alpha=1e-7).fit(x[20:], y[20:])
    left = [np.linalg.norm(each._left(each.dual_coef_)) for each in (model, refit)]
    assert model.resolves_ > 3
    assert left[0] < 10 * left[1]
    with pytest.raises(InputError, match="sigmoid"):
        ExactKernelRidge(kernel="sigmoid").fit(x, y)


def test_a_good_downdate_is_not_solved_again() -> None:
    """Fails if every request is paid for with a new factorisation."""
    x, y = rows(3)
    assert ExactKernelRidge(alpha=0.1).fit(x, y).forget(x[:30], y[:30]).resolves_ == 0


def test_refinement_saves_factorisations() -> None:
    """Fails if the step of refinement is left out: at alpha 1e-5 on a linear kernel, 60 requests need no new factorisation, without it 59."""
    x, y = rows(2)
    model = ExactKernelRidge(kernel="linear", alpha=1e-5).fit(x, y)
    for i in range(60):
        model.forget(x[i : i + 1], y[i : i + 1])
    assert model.resolves_ < 10
