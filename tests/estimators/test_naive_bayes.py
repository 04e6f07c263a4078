"""Naive Bayes that forgets: sums that do not round, so bit for bit a refit."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from sklearn.naive_bayes import GaussianNB

from expunge.estimators.naive_bayes import POINT, ExactNaiveBayes, exact_sums
from expunge.facts.errors import InputError


def test_four_rows_by_hand() -> None:
    """Fails if the variance is that of the sample (n - 1), or a forgotten row stays in a sum: 1, 3 -> mean 2, variance 1."""
    x, y = np.array([[1.0], [3.0], [8.0], [5.0]]), np.array([0, 0, 0, 1])
    model = ExactNaiveBayes(var_smoothing=0.25).fit(x, y).forget([[8.0]], [0])
    every = Fraction(35, 3) - 9
    assert model.theta_[:, 0].tolist() == [2.0, 5.0]
    assert model.var_[:, 0] == pytest.approx([1 + float(every) / 4, float(every) / 4])
    assert model.class_prior_ == pytest.approx([2 / 3, 1 / 3])


def test_sums_are_exact() -> None:
    """Fails if a sum rounds: numbers from the least subnormal to 1e100, against fractions."""
    x = np.array([[5e-324], [1e100], [-0.1], [0.0], [-1e100], [2**-1050 * 3], [np.pi]])
    total, squares = exact_sums(x)
    wanted = [Fraction(v) for v in x[:, 0].tolist()]
    assert Fraction(int(total[0]), 2**POINT) == sum(wanted)
    assert Fraction(int(squares[0]), 4**POINT) == sum(v * v for v in wanted)


@pytest.mark.parametrize("far", [0.0, 1e6])
def test_bit_for_bit_a_refit(far: float) -> None:
    """Fails if anything of a forgotten row is left by cancellation: 100 requests, features 1e6 standard deviations from 0 and one row at 1e12."""
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(400, 6)) + far, draw.integers(0, 3, 400)
    x[5] = 1e12
    model = ExactNaiveBayes().fit(x, y)
    for i in range(100):
        model.forget(x[2 * i : 2 * i + 2], y[2 * i : 2 * i + 2])
    refit = ExactNaiveBayes().fit(x[200:], y[200:])
    for name in ("theta_", "var_", "class_prior_", "class_count_", "classes_"):
        assert np.array_equal(getattr(model, name), getattr(refit, name)), name
    assert np.array_equal(model.predict_proba(x[200:]), refit.predict_proba(x[200:]))
    assert model.rows_ == refit.rows_


def test_it_is_scikit_learns_model() -> None:
    """Fails if smoothing takes another variance than that over all rows: 1e-8 of GaussianNB after forgetting."""
    draw = np.random.default_rng(1)
    x, y = draw.normal(size=(300, 5)) * [1, 10, 0.1, 3, 7], draw.integers(0, 2, 300)
    model = ExactNaiveBayes(var_smoothing=1e-3).fit(x, y).forget(x[:80], y[:80])
    peer = GaussianNB(var_smoothing=1e-3).fit(x[80:], y[80:])
    assert np.allclose(model.theta_, peer.theta_, rtol=1e-8)
    assert np.allclose(model.var_, peer.var_, rtol=1e-8)
    assert np.allclose(model.predict_proba(x), peer.predict_proba(x), rtol=1e-8)


def test_floating_sums_would_not_do() -> None:
    """Fails if this design is for nothing: sums in float64 miss the variance of what is left by more than 1e-8 after a far row came and went."""
    draw = np.random.default_rng(2)
    x = draw.normal(size=(50, 1))
    far = np.array([[1e12]])
    total, squares = x.sum() + far.sum() - far.sum(), (x**2).sum() + (far**2).sum() - (far**2).sum()
    assert abs(squares / 50 - (total / 50) ** 2 - x.var()) > 1e-3
    y = np.arange(50) % 2
    model = ExactNaiveBayes().fit(np.vstack([x, far]), np.append(y, 0)).forget(far, [0])
    assert np.array_equal(model.var_, ExactNaiveBayes().fit(x, y).var_)


def test_the_last_row_of_a_class_and_new_classes() -> None:
    """Fails if an empty class keeps a prior, or learning a new class moves the sums of the old ones."""
    x, y = np.array([[0.0], [1.0], [2.0], [5.0], [7.0]]), np.array(["b", "b", "c", "a", "a"])
    model = ExactNaiveBayes().partial_fit(x[:3], y[:3]).partial_fit(x[3:], y[3:])
    assert model.classes_.tolist() == ["a", "b", "c"]
    assert model.theta_[:, 0].tolist() == [6.0, 0.5, 2.0]
    assert model.forget([[2.0]], ["c"]).classes_.tolist() == ["a", "b"]
    assert model.predict([[2.0]]).tolist() == ["b"]
    with pytest.raises(InputError, match="are not among the training rows"):
        model.forget([[2.0]], ["c"])


def test_what_cannot_be_computed_is_refused() -> None:
    """Fails if a density without variance is invented, or an overflow passes."""
    model = ExactNaiveBayes().fit([[1.0], [2.0]], [0, 1]).forget([[2.0]], [1])
    with pytest.raises(InputError, match="no feature varies"):
        model.predict([[1.0]])
    with pytest.raises(InputError, match="beyond float64"):
        model.partial_fit([[1e200]], [0])
    with pytest.raises(InputError, match="not in classes"):
        model.partial_fit([[1.0]], [2], classes=[0, 1])
