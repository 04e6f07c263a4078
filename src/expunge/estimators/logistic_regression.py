"""Logistic regression with certified removal: a Newton step, noise in the training objective, and a budget."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted, check_random_state, validate_data

from expunge.estimators._guarantee import ASSUMPTIONS, CAP, Guarantee, budget_of, check_settings, guarantee_of
from expunge.estimators._intercept import coefficients, with_ones
from expunge.estimators._labels import check_two_left, label_positions, two_classes
from expunge.estimators._rows import Numbers, checked_request, checked_rows, find_rows
from expunge.estimators._two_class_logistic import minimise, residual_of, take_out
from expunge.statistics.noisy_logistic import check_trained

__all__ = ["ASSUMPTIONS", "CAP", "CertifiedLogisticRegression", "Guarantee"]


class CertifiedLogisticRegression(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Fit noisy logistic regression for two classes, and forget rows by Newton steps that the noise hides.

    Trains L(w) = sum_i log(1 + e^(-y_i w'x_i)) + n strength / 2 |w|^2 + b'w with b ~ N(0, sigma^2 I). Forgetting moves w by v = H^-1 D,
    H the Hessian over the kept rows at w and D the gradient that the forgotten rows (with their share of the penalty) had. What is
    left of the gradient over the kept rows is at most gamma / 2 |X|_2 (sum_i (x_i'v)^4)^(1/2): w is the minimiser for a noise shifted by
    that much. The bounds of all requests add up; up to sigma times the shift that (epsilon, delta) allow, the whole group of forgotten
    rows is hidden together, so nothing is multiplied by its size. Above it the model is trained anew on the kept rows with new noise.
    Bounded. Source: Guo, Goldstein, Hannun, van der Maaten 2020, arXiv 1911.03030, corollary 1 and algorithm 2.
    Differs: gamma is the exact 1 / (6 sqrt 3) (paper: 1/4), the path integral gives the 1/2, and the fourth powers stand for |v| |Xv|, so
    that no |x| <= 1 is assumed; |X|_2 is that of the training rows; what the optimiser and the solve leave counts too; epsilon is also
    held to the exact Gaussian curve. The intercept is one more weight, with its penalty. Keeps the rows, which a refit needs.
    """

    provenance = "bounded"

    def __init__(
        self,
        *,
        strength: float = 0.01,
        sigma: float = 0.1,
        epsilon: float = 1.0,
        delta: float = 1e-4,
        fit_intercept: bool = True,
        random_state: Any = None,
    ) -> None:
        self.strength = strength
        self.sigma = sigma
        self.epsilon = epsilon
        self.delta = delta
        self.fit_intercept = fit_intercept
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    def fit(self, X: Any, y: Any) -> Self:
        """Train on these rows with new noise."""
        check_settings(self.strength, self.sigma, self.epsilon)
        X, y = validate_data(self, X, y, dtype=np.float64)
        self.classes_, y = two_classes(y)
        self.budget_ = budget_of(self.sigma, self.epsilon, self.delta)
        self._noise = check_random_state(self.random_state)
        self.X_, self.y_ = with_ones(X, self.fit_intercept), y
        return self._train(refits=0)

    def forget(self, X: Any, y: Any) -> Self:
        """Take rows out; refuse rows that are not in, and a request that leaves fewer than two classes."""
        X, y = checked_request(self, X, y)
        gone = find_rows(self.X_, self.y_, with_ones(X, self.fit_intercept), label_positions(self.classes_, y))
        check_two_left(self.classes_, self.y_, gone)
        lost = self.X_[gone], self.y_[gone]
        self.X_, self.y_ = self.X_[~gone], self.y_[~gone]
        self.forgotten_ += int(gone.sum())
        moved, left = take_out(self.X_, self.y_, *lost, self.weights_, strength=self.strength, size=self.size_)
        self.residual_bound_ += left
        if self.residual_bound_ > self.budget_:
            return self._train(refits=self.refits_ + 1)
        return self._keep(moved)

    def residual(self) -> float:
        """Return the true norm of the gradient over the kept rows, which `residual_bound_` bounds."""
        check_is_fitted(self)
        return residual_of(self.X_, self.y_, self.noise_, self.weights_, strength=self.strength)

    def guarantee(self) -> Guarantee:
        """Return what holds for the rows forgotten since the last training; those before it were never trained on."""
        return guarantee_of(self)

    def decision_function(self, X: Any) -> Numbers:
        """Return w'x + intercept."""
        return np.asarray(checked_rows(self, X) @ self.coef_[0] + self.intercept_[0])

    def predict_proba(self, X: Any) -> Numbers:
        """Return P(class | x)."""
        second = expit(self.decision_function(X))
        return np.stack([1 - second, second], axis=1)

    def predict(self, X: Any) -> np.ndarray[Any, Any]:
        """Return the more probable class."""
        second = self.decision_function(X) > 0
        return np.asarray(self.classes_[second.astype(int)])

    def _train(self, *, refits: int) -> Self:
        """Minimise the objective with new noise."""
        self.noise_ = self.sigma * self._noise.standard_normal(self.X_.shape[1])
        self.forgotten_, self.refits_ = 0, refits
        self.size_ = float(np.linalg.norm(self.X_, 2))
        self._keep(minimise(self.X_, self.y_, self.noise_, strength=self.strength, until=1e-9 * self.budget_))
        self.residual_bound_ = self.residual()
        check_trained(self.residual_bound_, self.budget_)
        return self

    def _keep(self, weights: Numbers) -> Self:
        self.weights_ = weights
        self.coef_, self.intercept_ = coefficients(weights[:, None], self.fit_intercept)
        return self
