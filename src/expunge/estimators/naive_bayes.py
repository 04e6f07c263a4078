"""Gaussian naive Bayes that forgets rows exactly, bit for bit, from sums that are integers."""

from __future__ import annotations

from collections import Counter
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from expunge.estimators._labels import check_declared, label_positions
from expunge.estimators._rows import Numbers, check_held, checked_request, checked_rows, row_digests, strike
from expunge.estimators._whole_sums import (
    BLOCK,
    LARGEST,
    POINT,
    ClassSums,
    Whole,
    check_squares,
    exact_sums,
    moments,
)
from expunge.facts.errors import InputError

__all__ = ["BLOCK", "LARGEST", "POINT", "ExactNaiveBayes", "Whole", "exact_sums", "moments"]


class ExactNaiveBayes(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Fit Gaussian naive Bayes and forget any of its rows by subtracting them from sums that do not round.

    Means and variances follow from a class's count, sum and sum of squares; in floating point, taking rows out of these cancels.
    A float64 is a whole number of 2**-1126, so both sums are kept as whole numbers of any length: adding and taking away are exact, in
    any order. The mean and n sum(x^2) - sum(x)^2 are divided once at the end. Exact: bit for bit equal to `fit` on the rows that are left.
    Variances are widened as in scikit-learn's GaussianNB, by `var_smoothing` times the largest variance of a feature over all rows.
    A class whose last row is forgotten leaves `classes_`. Keeps the sums and 16 bytes a row that tell which rows may be forgotten; no row.
    """

    provenance = "exact"

    def __init__(self, *, var_smoothing: float = 1e-9) -> None:
        self.var_smoothing = var_smoothing

    def fit(self, X: Any, y: Any) -> Self:
        """Learn these rows and nothing that was learned before."""
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        self.rows_: Counter[tuple[bytes, Any]] = Counter()
        self._sums = ClassSums(np.unique(y), X.shape[1])
        return self._learn(X, y)

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> Self:
        """Learn these rows beside those that were learned before; labels outside `classes`, where given, are refused."""
        check_declared(y, classes)
        if not hasattr(self, "rows_"):
            return self.fit(X, y)
        X, y = validate_data(self, X, y, reset=False, dtype=np.float64)
        check_classification_targets(y)
        self._sums.include(y)
        return self._learn(X, y)

    def forget(self, X: Any, y: Any) -> Self:
        """Take rows out; refuse rows that are not in and a request for all of them."""
        X, y = checked_request(self, X, y)
        position = label_positions(self._sums.labels, y)
        keys = self._keys(X, y)
        check_held(self.rows_, keys)
        strike(self.rows_, keys)
        return self._add(X, position, -1)

    def predict_joint_log_proba(self, X: Any) -> Numbers:
        """Return log P(class) + log p(x | class)."""
        X = checked_rows(self, X)
        if not self.epsilon_ > 0:
            raise InputError(
                "no feature varies over the training rows, so their density cannot be computed", do="learn more rows"
            )
        found = []
        for share, mean, variance in zip(self.class_prior_, self.theta_, self.var_, strict=True):
            apart = np.log(2.0 * np.pi * variance).sum() + ((X - mean) ** 2 / variance).sum(1)
            found.append(np.log(share) - 0.5 * apart)
        return np.stack(found, axis=1)

    def predict_proba(self, X: Any) -> Numbers:
        """Return P(class | x)."""
        joint = self.predict_joint_log_proba(X)
        return np.asarray(np.exp(joint - logsumexp(joint, axis=1, keepdims=True)))

    def predict(self, X: Any) -> np.ndarray[Any, Any]:
        """Return the most probable class."""
        joint = self.predict_joint_log_proba(X)
        return np.asarray(self.classes_[joint.argmax(1)])

    def _keys(self, X: Numbers, y: NDArray[Any]) -> list[tuple[bytes, Any]]:
        return list(zip(row_digests(X, X[:, :0]), y.tolist(), strict=True))

    def _learn(self, X: Numbers, y: NDArray[Any]) -> Self:
        check_squares(X)
        self.rows_.update(self._keys(X, y))
        return self._add(X, label_positions(self._sums.labels, y), 1)

    def _add(self, X: Numbers, position: Numbers, sign: int) -> Self:
        self._sums.add(X, position, sign)
        self.epsilon_ = self.var_smoothing * float(self._sums.variances().max())
        self.theta_, spread = self._sums.moments_by_class()
        self.var_ = spread + self.epsilon_
        self.classes_, self.class_count_ = self._sums.labels, self._sums.counts
        self.class_prior_ = self.class_count_ / self.class_count_.sum()
        return self
