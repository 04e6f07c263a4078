"""Ridge regression that forgets rows exactly, from X'X and X'y alone."""

from __future__ import annotations

from collections import Counter
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import validate_data

from expunge.estimators._intercept import coefficients, with_ones
from expunge.estimators._penalised import check_alpha, solve
from expunge.estimators._rows import Numbers, check_held, checked_request, checked_rows, row_digests, strike
from expunge.estimators._sums import ProductSum
from expunge.facts.errors import InputError


class ExactRidge(MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Fit ridge regression and forget any of its rows by subtracting their products and solving again.

    The solution depends on the rows only through two sums, and a sum forgets by subtraction: w = (X'X + alpha I)^-1 X'y, with a column of
    ones for the intercept, which alpha leaves out. What subtraction can spoil is rounding: the sums carry twice the digits of float64 and
    an upper bound on their error (_sums), and `forget` refuses (nothing changes) where that bound and the solve's, d u |A|, over the
    smallest eigenvalue of A would allow more than `tolerance`. Exact: equal to `fit` on the rows that are left, within `tolerance` times
    the larger of 1 and the norm of the weights. Keeps the sums and 16 bytes a row that tell which rows may be forgotten; no row.
    Source: the closed form that ACU uses (P114). Differs: sums are kept and solved again; the inverse's own recursion fails at small alpha.
    """

    provenance = "exact"

    def __init__(self, *, alpha: float = 1.0, fit_intercept: bool = True, tolerance: float = 1e-8) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.tolerance = tolerance

    def fit(self, X: Any, y: Any) -> Self:
        """Learn these rows and nothing that was learned before."""
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True, multi_output=True)
        check_alpha(self.alpha)
        width, self._single = X.shape[1] + bool(self.fit_intercept), y.ndim == 1
        outputs = 1 if self._single else y.shape[1]
        self.gram_, self.moment_ = ProductSum((width, width)), ProductSum((width, outputs))
        self.rows_: Counter[bytes] = Counter()
        return self._learn(X, y)

    def partial_fit(self, X: Any, y: Any) -> Self:
        """Learn these rows beside those that were learned before."""
        if not hasattr(self, "rows_"):
            return self.fit(X, y)
        X, y = validate_data(self, X, y, reset=False, dtype=np.float64, y_numeric=True, multi_output=True)
        self._same_outputs(y)
        return self._learn(X, y)

    def forget(self, X: Any, y: Any) -> Self:
        """Take rows out; refuse rows that are not in, a request for all of them, and one that rounding would make inexact."""
        X, y = checked_request(self, X, y, y_numeric=True, multi_output=True)
        self._same_outputs(y)
        digests = row_digests(X, y)
        check_held(self.rows_, digests)
        gram, moment = self._added(X, y, -1.0)
        weights, error = self._solved(gram, moment)
        if not error <= self.tolerance * max(1.0, float(np.linalg.norm(weights))):
            raise InputError(
                f"forgetting these rows by subtraction may be off by {error:.1e}, over the tolerance of {self.tolerance:.1e}; "
                "nothing was changed",
                causes=(
                    "alpha is small and fewer independent rows than features are left",
                    "features of very different scale",
                ),
                do="fit again on the rows to keep, or scale the features or set a larger alpha before training",
            )
        strike(self.rows_, digests)
        self.gram_, self.moment_ = gram, moment
        return self._keep(weights)

    def predict(self, X: Any) -> Numbers:
        """Return X w + intercept."""
        return np.asarray(checked_rows(self, X) @ self.coef_.T + self.intercept_)

    def _learn(self, X: Numbers, y: Numbers) -> Self:
        gram, moment = self._added(X, y, 1.0)
        weights, _ = self._solved(gram, moment)
        self.gram_, self.moment_ = gram, moment
        self.rows_.update(row_digests(X, y))
        return self._keep(weights)

    def _added(self, X: Numbers, y: Numbers, sign: float) -> tuple[ProductSum, ProductSum]:
        """Return both sums with rows added or taken away."""
        gram, moment = self.gram_.copy(), self.moment_.copy()
        columns = with_ones(X, self.fit_intercept)
        gram.add(columns, columns, sign)
        moment.add(columns, y.reshape(len(y), -1), sign)
        return gram, moment

    def _solved(self, gram: ProductSum, moment: ProductSum) -> tuple[Numbers, float]:
        """Return the weights and how far they may be from those of training on the rows that are left."""
        penalty = np.full(len(gram.high), float(self.alpha))
        if self.fit_intercept:
            penalty[-1] = 0.0
        return solve(gram, moment, penalty)

    def _keep(self, weights: Numbers) -> Self:
        slopes, constant = coefficients(weights, self.fit_intercept)
        self.coef_ = slopes[0] if self._single else slopes
        self.intercept_ = float(constant[0]) if self._single else constant
        return self

    def _same_outputs(self, y: Numbers) -> None:
        outputs = 1 if y.ndim == 1 else y.shape[1]
        if outputs != self.moment_.high.shape[1]:
            raise InputError(f"y has {outputs} columns; this estimator was trained on {self.moment_.high.shape[1]}")
