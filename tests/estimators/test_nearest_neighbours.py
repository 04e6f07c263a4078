"""k nearest neighbours that forget: bit for bit a refit, whatever the order."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from expunge.estimators.nearest_neighbours import ExactNearestNeighbours
from expunge.facts.errors import InputError


def test_five_rows_on_a_line_by_hand() -> None:
    """Fails if a forgotten row votes, or a tie for the last place is given to the row that came first: classes fill places in order."""
    x, y = np.array([[0.0], [1.0], [3.0], [-1.0], [9.0]]), np.array(["b", "b", "a", "a", "c"])
    model = ExactNearestNeighbours(n_neighbors=2).fit(x, y)
    assert model.predict_proba([[0.0]]) == pytest.approx(np.array([[0.5, 0.5, 0.0]]))
    model.forget([[0.0]], ["b"])
    assert model.predict_proba([[0.0]]) == pytest.approx(np.array([[0.5, 0.5, 0.0]]))
    model.forget([[-1.0]], ["a"])
    assert model.predict_proba([[0.0]]) == pytest.approx(np.array([[0.5, 0.5, 0.0]]))
    model.forget([[9.0]], ["c"])
    assert model.classes_.tolist() == ["a", "b"]
    assert model.forget([[3.0]], ["a"]).predict([[5.0]]).tolist() == ["b"]


def test_equal_to_a_refit_in_any_order() -> None:
    """Fails if ties are broken by position: whole numbers tie often, and rows are learned in another order in the refit."""
    draw = np.random.default_rng(0)
    x, y = draw.integers(0, 4, (300, 3)).astype(float), draw.integers(0, 3, 300)
    asked = draw.integers(0, 4, (60, 3)) + 0.5 * draw.integers(0, 2, (60, 3))
    model = ExactNearestNeighbours().fit(x, y)
    for i in range(0, 100, 10):
        model.forget(x[i : i + 10], y[i : i + 10])
    order = 100 + draw.permutation(200)
    refit = ExactNearestNeighbours().fit(x[order], y[order])
    assert np.array_equal(model.predict_proba(asked), refit.predict_proba(asked))


def test_without_ties_it_is_scikit_learn() -> None:
    """Fails if the wrong distances or shares are used: probabilities equal KNeighborsClassifier's after forgetting 40 of 200 rows."""
    draw = np.random.default_rng(1)
    x, y = draw.normal(size=(200, 6)), draw.integers(0, 3, 200)
    model = ExactNearestNeighbours(n_neighbors=7).fit(x, y).forget(x[:40], y[:40])
    peer = KNeighborsClassifier(7).fit(x[40:], y[40:])
    asked = draw.normal(size=(100, 6))
    assert np.allclose(model.predict_proba(asked), peer.predict_proba(asked))


def test_the_rows_are_gone() -> None:
    """Fails if a forgotten row stays in the object: no array holds its numbers."""
    x, y = np.arange(40.0).reshape(20, 2), np.arange(20) % 2
    model = ExactNearestNeighbours(n_neighbors=50).fit(x, y).forget(x[3:4], y[3:4])
    assert not any((value == 6.0).any() for value in vars(model).values() if isinstance(value, np.ndarray))
    assert model.predict_proba(x[:1]) == pytest.approx(np.array([[10 / 19, 9 / 19]]))
    with pytest.raises(InputError, match="at least one"):
        ExactNearestNeighbours(n_neighbors=0).fit(x, y)
