"""Gaussian naive Bayes that forgets rows exactly, bit for bit, from sums that are integers."""

from __future__ import annotations

from collections import Counter
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from expunge.estimators._rows import Numbers, check_held, checked_request, label_positions, row_digests, strike
from expunge.facts.errors import InputError

POINT = 1126  # every float64 is a whole number of 2**-1126
BLOCK = 1024
LARGEST = 1e150
Whole = NDArray[np.object_]


def exact_sums(X: Numbers) -> tuple[Whole, Whole]:
    """Return each column's sum in units of 2**-1126 and its sum of squares in units of 2**-2252, as whole numbers without any rounding."""
    total, squares = np.zeros((2, X.shape[1]), dtype=object)
    for start in range(0, len(X), BLOCK):
        fraction, power = np.frexp(X[start : start + BLOCK])
        digits = np.ldexp(fraction, 53).astype(np.int64).astype(object)
        shift = (power.astype(np.int64) - 53 + POINT).astype(object)
        total = total + (digits << shift).sum(0)
        squares = squares + ((digits * digits) << (2 * shift)).sum(0)
    return total, squares


def moments(count: int, total: Whole, squares: Whole) -> tuple[Numbers, Numbers]:
    """Return the means and variances of columns, each rounded once."""
    means = [each / (count << POINT) for each in total]
    spread = [
        (count * square - each * each) / (count * count << 2 * POINT)
        for each, square in zip(total, squares, strict=True)
    ]
    return np.array(means), np.array(spread)


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
        self._labels = np.unique(y)
        self._counts = np.zeros(len(self._labels), dtype=np.int64)
        self._total, self._squares = np.zeros((2, len(self._labels), X.shape[1]), dtype=object)
        return self._learn(X, y)

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> Self:
        """Learn these rows beside those that were learned before; labels outside `classes`, where given, are refused."""
        if classes is not None and not np.isin(np.asarray(y), np.asarray(classes)).all():
            raise InputError("y has labels that are not in classes")
        if not hasattr(self, "rows_"):
            return self.fit(X, y)
        X, y = validate_data(self, X, y, reset=False, dtype=np.float64)
        check_classification_targets(y)
        labels = np.union1d(self._labels, y)
        where = np.searchsorted(labels, self._labels)
        for name in ("_counts", "_total", "_squares"):
            old = getattr(self, name)
            new = np.zeros((len(labels), *old.shape[1:]), dtype=old.dtype)
            new[where] = old
            setattr(self, name, new)
        self._labels = labels
        return self._learn(X, y)

    def forget(self, X: Any, y: Any) -> Self:
        """Take rows out; refuse rows that are not in and a request for all of them."""
        X, y = checked_request(self, X, y)
        position = label_positions(self._labels, y)
        keys = self._keys(X, y)
        check_held(self.rows_, keys)
        strike(self.rows_, keys)
        return self._add(X, position, -1)

    def predict_joint_log_proba(self, X: Any) -> Numbers:
        """Return log P(class) + log p(x | class)."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64)
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
        if (top := float(np.abs(X).max())) > LARGEST:
            raise InputError(f"X has a value of {top:.1e}: its square is beyond float64", do="scale the features")
        self.rows_.update(self._keys(X, y))
        return self._add(X, label_positions(self._labels, y), 1)

    def _add(self, X: Numbers, position: Numbers, sign: int) -> Self:
        for i in np.unique(position).astype(int):
            rows = X[position == i]
            total, squares = exact_sums(rows)
            self._counts[i] += sign * len(rows)
            self._total[i] += sign * total
            self._squares[i] += sign * squares
        here = self._counts > 0
        self._labels, self._counts = self._labels[here], self._counts[here]
        self._total, self._squares = self._total[here], self._squares[here]
        every = moments(int(self._counts.sum()), self._total.sum(0), self._squares.sum(0))[1]
        self.epsilon_ = self.var_smoothing * float(every.max())
        found = [moments(int(n), a, b) for n, a, b in zip(self._counts, self._total, self._squares, strict=True)]
        self.theta_, self.var_ = (
            np.stack([mean for mean, _ in found]),
            np.stack([spread for _, spread in found]) + self.epsilon_,
        )
        self.classes_, self.class_count_ = self._labels, self._counts
        self.class_prior_ = self._counts / self._counts.sum()
        return self
