"""Certified removal: the bound really bounds the gradient, the budget really leads to a refit, the group is one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import minimize

from expunge.estimators.logistic_regression import CertifiedLogisticRegression
from expunge.facts.errors import InputError
from expunge.statistics.gaussian_shift import delta_of_shift


def rows(seed: int, count: int = 200, width: int = 5) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(count, width)) / math.sqrt(width)
    return x, (x @ draw.normal(size=width) * 4 + draw.logistic(size=count) > 0).astype(int)


def gradient(model: CertifiedLogisticRegression, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the gradient of the noisy objective over rows, written out row by row."""
    w = np.append(model.coef_[0], model.intercept_)
    total = model.noise_ + len(x) * model.strength * w
    for row, label in zip(np.column_stack([x, np.ones(len(x))]), 2 * y - 1, strict=True):
        total = total - label * row / (1 + math.exp(label * float(row @ w)))
    return np.asarray(total)


def test_training_minimises_the_noisy_objective() -> None:
    """Fails if the noise, the n in the penalty or the intercept is left out: against a general minimiser, and a gradient of 0."""
    x, y = rows(0)
    model = CertifiedLogisticRegression(sigma=3.0, random_state=1).fit(x, y)
    assert np.linalg.norm(gradient(model, x, y)) == pytest.approx(model.residual(), abs=1e-8)
    columns, signs = np.column_stack([x, np.ones(200)]), 2 * y - 1

    def objective(w: np.ndarray) -> float:
        return float(np.logaddexp(0, -signs * (columns @ w)).sum() + 200 * 0.01 / 2 * w @ w + model.noise_ @ w)

    found = minimize(objective, np.zeros(6), method="BFGS", options={"gtol": 1e-8}).x
    assert np.allclose(np.append(model.coef_[0], model.intercept_), found, atol=1e-5)


def test_the_noise_has_the_stated_size() -> None:
    """Fails if sigma is taken for a variance, or a training reuses the noise of another: 400 draws of 6."""
    x, y = rows(1, 30)
    drawn = np.stack([CertifiedLogisticRegression(sigma=2.0, random_state=i).fit(x, y).noise_ for i in range(400)])
    assert drawn.std() == pytest.approx(2.0, rel=0.05)
    assert abs(np.corrcoef(drawn[:-1].ravel(), drawn[1:].ravel())[0, 1]) < 0.08


def test_the_bound_bounds_the_true_gradient() -> None:
    """Fails if the bound is below the gradient once in 150 problems of 5 requests each, or is idle (100 times it everywhere).

    Sizes, penalties, scales (also |x| far above 1) and requests of 1 to 12 rows are drawn; no budget is in the way. The bound is also at most
    the paper's, 1/4 |X| |v| |Xv|, where all |x| <= 1.
    """
    ratios = []
    for seed in range(150):
        draw = np.random.default_rng(seed)
        count, width = int(draw.integers(70, 200)), int(draw.integers(1, 9))
        x, y = rows(seed, count, width)
        x = x * 10 ** draw.uniform(-1, 1)
        strength, sigma = 10 ** draw.uniform(-4, -1), 10 ** draw.uniform(-2, 0)
        model = CertifiedLogisticRegression(
            strength=strength, sigma=sigma, epsilon=8.0, random_state=seed, fit_intercept=bool(seed % 2)
        ).fit(x, y)
        model.budget_ = np.inf
        start = 0
        for _ in range(5):
            size = int(draw.integers(1, 13))
            if len(np.unique(y[start + size :])) < 2:
                break
            model.forget(x[start : start + size], y[start : start + size])
            start += size
            true = model.residual()
            assert true <= model.residual_bound_ * (1 + 1e-9) + 1e-12
            ratios.append(true / model.residual_bound_)
    assert len(ratios) > 500
    assert max(ratios) > 0.2


def test_one_newton_step_by_hand() -> None:
    """Fails if the Hessian is taken over the forgotten rows too, or the penalty's share of the gradient is lost."""
    x, y = rows(3, 40, 2)
    model = CertifiedLogisticRegression(sigma=0.5, epsilon=8.0, strength=0.05, fit_intercept=False, random_state=0).fit(
        x, y
    )
    model.budget_ = np.inf
    w, kept = model.coef_[0].copy(), x[3:]
    lost = 3 * 0.05 * w + sum(
        (1 / (1 + math.exp(-float(r @ w))) - label) * r for r, label in zip(x[:3], y[:3], strict=True)
    )
    p = 1 / (1 + np.exp(-(kept @ w)))
    hessian = sum(a * (1 - a) * np.outer(r, r) for a, r in zip(p, kept, strict=True)) + 37 * 0.05 * np.eye(2)
    before = model.residual_bound_
    model.forget(x[:3], y[:3])
    v = np.linalg.solve(hessian, lost)
    assert model.coef_[0] == pytest.approx(w + v, rel=1e-9)
    fourth = math.sqrt(float(((kept @ v) ** 4).sum()))
    added = model.residual_bound_ - before
    assert added == pytest.approx(np.linalg.norm(x, 2) * fourth / (12 * math.sqrt(3)), rel=1e-6)
    assert added <= 0.25 * np.linalg.norm(x, 2) * np.linalg.norm(v) * np.linalg.norm(kept @ v) * max(
        1.0, np.linalg.norm(kept, axis=1).max()
    )


def test_the_step_is_nearer_to_the_retrained_model_than_doing_nothing() -> None:
    """Fails if the step has the wrong sign: 20 problems, 10 rows forgotten; the distance to training without them (same noise) falls 10 times."""
    for seed in range(20):
        x, y = rows(100 + seed)
        model = CertifiedLogisticRegression(sigma=0.5, epsilon=8.0, random_state=seed).fit(x, y)
        refit = CertifiedLogisticRegression(sigma=0.5, epsilon=8.0, random_state=seed).fit(x[10:], y[10:])
        assert np.array_equal(model.noise_, refit.noise_)
        start = np.linalg.norm(model.coef_ - refit.coef_)
        model.forget(x[:10], y[:10])
        assert model.refits_ == 0
        assert np.linalg.norm(model.coef_ - refit.coef_) < start / 10


def test_the_budget_is_for_the_whole_group_and_spent_leads_to_a_refit() -> None:
    """Fails if bounds do not add up over requests, epsilon is per row, or an overspent model is kept."""
    x, y = rows(4, 150)
    model = CertifiedLogisticRegression(sigma=1.0, epsilon=1.0, delta=1e-4, random_state=0).fit(x, y)
    assert model.budget_ == pytest.approx(1.0 / math.sqrt(2 * math.log(1.5e4)))
    spent, epsilons, noise = [model.residual_bound_], [], model.noise_
    while model.refits_ == 0:
        at = len(spent) - 1
        model.forget(x[at : at + 1], y[at : at + 1])
        spent.append(model.residual_bound_)
        if model.refits_ == 0:
            found = model.guarantee()
            epsilons.append(found.epsilon)
            assert found.rows == at + 1
            assert found.epsilon <= 1.0
            assert found.residual_bound <= found.budget
            assert delta_of_shift(found.residual_bound, found.epsilon) <= 1e-4 * (1 + 1e-6)
    assert len(spent) > 5
    assert (np.diff(spent[:-1]) > 0).all()
    assert epsilons == sorted(epsilons)
    after = model.guarantee()
    assert (after.rows, after.refits) == (0, 1)
    assert after.epsilon < 1e-6
    assert not np.array_equal(noise, model.noise_)
    kept = slice(len(spent) - 1, None)
    assert np.linalg.norm(gradient(model, x[kept], y[kept])) < 1e-6


def test_what_the_certificate_rests_on() -> None:
    """Fails if assumptions are lost, epsilon is beyond the cap, the last row of a class goes, or a single class is fitted."""
    x, y = rows(5, 30)
    model = CertifiedLogisticRegression(random_state=0).fit(x, y)
    assert model.guarantee().provenance == "bounded"
    assert len(model.guarantee().assumptions) == 4
    with pytest.raises(InputError, match="epsilon at most 8"):
        CertifiedLogisticRegression(epsilon=9.0).fit(x, y)
    ones = y == 1
    with pytest.raises(InputError, match="the last row of class 1"):
        model.forget(x[ones], y[ones])
    assert len(model.X_) == 30
    with pytest.raises(ValueError, match="only one class"):
        CertifiedLogisticRegression().fit(x[ones], y[ones])
