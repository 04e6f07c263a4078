"""A k-nearest-neighbours classifier that forgets rows exactly."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from expunge.estimators._labels import check_declared, label_positions
from expunge.estimators._rows import Numbers, checked_request, checked_rows, find_rows
from expunge.facts.errors import InputError

PAIRS = 2_000_000


class ExactNearestNeighbours(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Vote among the k nearest rows, and forget rows by dropping them.

    The rows are the model, so what is dropped is gone; exactness needs only that a prediction depends on nothing else. Distances are
    computed pair by pair (a matrix product's rounding would depend on the other rows), and where rows tie for the last places, classes
    fill them in the order of `classes_`, whatever the order of learning. Exact: bit for bit equal to `fit` on the rows that are left,
    in any order. Training is keeping the rows, so forgetting is no faster than training anew, only stricter. With fewer than k rows left,
    all vote. A class whose last row is forgotten leaves `classes_`. Keeps the rows themselves.
    """

    provenance = "exact"

    def __init__(self, *, n_neighbors: int = 5) -> None:
        self.n_neighbors = n_neighbors

    def fit(self, X: Any, y: Any) -> Self:
        """Learn these rows and nothing that was learned before."""
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        if self.n_neighbors < 1:
            raise InputError(f"n_neighbors is {self.n_neighbors}: at least one row must vote")
        return self._hold(X.copy(), np.asarray(y).copy())

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> Self:
        """Learn these rows beside those that were learned before; labels outside `classes`, where given, are refused."""
        if not hasattr(self, "X_"):
            check_declared(y, classes)
            return self.fit(X, y)
        X, y = validate_data(self, X, y, reset=False, dtype=np.float64)
        check_classification_targets(y)
        check_declared(y, classes)
        return self._hold(np.vstack([self.X_, X]), np.concatenate([self.classes_[self.y_], y]))

    def forget(self, X: Any, y: Any) -> Self:
        """Drop rows; refuse rows that are not in and a request for all of them."""
        X, y = checked_request(self, X, y)
        keep = ~find_rows(self.X_, self.y_.astype(np.float64), X, label_positions(self.classes_, y))
        return self._hold(self.X_[keep], self.classes_[self.y_[keep]])

    def predict_proba(self, X: Any) -> Numbers:
        """Return the share of the k nearest rows that each class has."""
        X = checked_rows(self, X)
        size = max(1, PAIRS // len(self.X_))
        return np.vstack([self._votes(X[start : start + size]) for start in range(0, len(X), size)])

    def predict(self, X: Any) -> np.ndarray[Any, Any]:
        """Return the class with the largest share, the first of `classes_` where shares are equal."""
        shares = self.predict_proba(X)
        return np.asarray(self.classes_[shares.argmax(1)])

    def _votes(self, X: Numbers) -> Numbers:
        voters = min(self.n_neighbors, len(self.X_))
        apart = cdist(X, self.X_, "sqeuclidean")
        last = np.partition(apart, voters - 1, axis=1)[:, [voters - 1]]
        member = np.eye(len(self.classes_))[self.y_]
        nearer, tied = (apart < last) @ member, (apart == last) @ member
        room = voters - nearer.sum(1, keepdims=True)
        before = np.cumsum(tied, axis=1) - tied
        return np.asarray((nearer + np.clip(room - before, 0, tied)) / voters)

    def _hold(self, X: Numbers, labels: np.ndarray[Any, Any]) -> Self:
        self.X_ = X
        self.classes_, self.y_ = np.unique(labels, return_inverse=True)
        return self
