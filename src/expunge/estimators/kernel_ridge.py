"""Kernel ridge regression that forgets rows exactly, by a block downdate that is checked and re-solved where it fails."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.metrics.pairwise import pairwise_kernels
from sklearn.utils.validation import validate_data

from expunge.estimators._penalised import check_alpha
from expunge.estimators._rows import Numbers, checked_request, checked_rows, find_rows
from expunge.facts.errors import InputError

KERNELS = ("linear", "poly", "rbf", "laplacian", "cosine")


class ExactKernelRidge(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Fit kernel ridge regression and forget rows by striking them out of the inverse.

    The dual weights are A^-1 y with A = K + alpha I. Without rows f, the inverse is R_kk - R_kf R_ff^-1 R_fk for R = A^-1: quadratic in
    the rows where a new factorisation is cubic. One step of refinement follows, and since no eigenvalue of A is below alpha, the weights
    are at most |A w - y| / alpha from the solution: above `tolerance` times the larger of 1 and |w|, the inverse is computed anew from the
    kernel of the kept rows (`resolves_` counts this). Exact: equal to `fit` on the rows that are left, within that tolerance and the
    rounding of one solve. Kernels are scikit-learn's positive ones: linear, poly, rbf, laplacian, cosine. Keeps the rows and two
    matrices of their number squared.
    """

    provenance = "exact"
    inverse_: Numbers

    def __init__(
        self, *, alpha: float = 1.0, kernel: str = "rbf", gamma: float | None = None, tolerance: float = 1e-9
    ) -> None:
        self.alpha = alpha
        self.kernel = kernel
        self.gamma = gamma
        self.tolerance = tolerance

    def fit(self, X: Any, y: Any) -> Self:
        """Learn these rows and nothing that was learned before."""
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        check_alpha(self.alpha)
        if self.kernel not in KERNELS:
            raise InputError(f"kernel {self.kernel!r} is not one of {', '.join(KERNELS)}")
        self.X_, self.y_ = X.copy(), y.astype(np.float64)
        self.gram_ = self._kernel(self.X_)
        self.resolves_ = 0
        return self._solve()

    def forget(self, X: Any, y: Any) -> Self:
        """Take rows out; refuse rows that are not in and a request for all of them."""
        X, y = checked_request(self, X, y, y_numeric=True)
        gone = find_rows(self.X_, self.y_, X, y.astype(np.float64))
        kept = np.flatnonzero(~gone)
        struck = np.flatnonzero(gone)
        side, corner = self.inverse_[np.ix_(kept, struck)], self.inverse_[np.ix_(struck, struck)]
        inner = self.inverse_[np.ix_(kept, kept)]
        self.X_, self.y_, self.gram_ = self.X_[kept], self.y_[kept], self.gram_[np.ix_(kept, kept)]
        try:
            inner = inner - side @ cho_solve(cho_factor(corner), side.T)
        except LinAlgError:  # rounding has cost the inverse its positive corner
            return self._resolve()
        self.inverse_ = (inner + inner.T) / 2
        dual = self.inverse_ @ self.y_
        self.dual_coef_ = dual + self.inverse_ @ self._left(dual)
        error = float(np.linalg.norm(self._left(self.dual_coef_))) / self.alpha
        within = error <= self.tolerance * max(1.0, float(np.linalg.norm(self.dual_coef_)))
        return self if within else self._resolve()

    def predict(self, X: Any) -> Numbers:
        """Return k(x, rows) w."""
        X = checked_rows(self, X)
        return np.asarray(self._kernel(X, self.X_) @ self.dual_coef_)

    def _left(self, dual: Numbers) -> Numbers:
        """Return y - (K + alpha I) w."""
        return np.asarray(self.y_ - self.gram_ @ dual - self.alpha * dual)

    def _resolve(self) -> Self:
        self.resolves_ += 1
        return self._solve()

    def _solve(self) -> Self:
        try:
            factor = cho_factor(self.gram_ + self.alpha * np.eye(len(self.gram_)))
        except LinAlgError as error:
            raise InputError(
                "K + alpha I cannot be factorised in float64", do="set a larger alpha or scale the features"
            ) from error
        self.inverse_ = cho_solve(factor, np.eye(len(self.gram_)))
        self.dual_coef_ = cho_solve(factor, self.y_)
        return self

    def _kernel(self, X: Numbers, Y: Numbers | None = None) -> Numbers:
        settings = {} if self.kernel in ("linear", "cosine") else {"gamma": self.gamma}
        return np.asarray(pairwise_kernels(X, Y, metric=self.kernel, **settings))
