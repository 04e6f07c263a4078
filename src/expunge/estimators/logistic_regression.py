"""Logistic regression with certified removal: a Newton step, noise in the training objective, and a budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, check_random_state, validate_data

from expunge.estimators._rows import Numbers, checked_request, find_rows, label_positions
from expunge.facts.errors import InputError
from expunge.statistics.gaussian_shift import epsilon_of_shift, shift_of_epsilon
from expunge.statistics.noisy_logistic import NoisyLogistic, check_trained

CAP = 8.0
ASSUMPTIONS = (
    "the noise was drawn once for this training, is Gaussian with the stated sigma, and who looks knows neither it nor its seed "
    "(this object holds noise and rows: hand out coef_ and intercept_ only)",
    "requests to forget do not depend on the published coefficients",
    "the certificate covers the coefficients only: not predictions given out before, nor a scaler or settings that saw the rows",
    "as in the paper, the shift of the noise is treated as fixed, though the residual bound, and so the moment of a refit, depends on "
    "data and noise",
)


@dataclass(frozen=True, kw_only=True)
class Guarantee:
    """What stands behind the coefficients now: (epsilon, delta) for all `rows` together, not for each."""

    provenance: str
    rows: int
    epsilon: float
    delta: float
    epsilon_cap: float
    residual_bound: float
    budget: float
    refits: int
    assumptions: tuple[str, ...]


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
        if not (self.strength > 0 and self.sigma > 0 and 0 < self.epsilon <= CAP):
            what = f"strength {self.strength}, sigma {self.sigma} and epsilon {self.epsilon} must be above 0, and epsilon at most {CAP:g}"
            raise InputError(what)
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        classes = np.unique(y)
        if len(classes) > 2:
            raise ValueError(f"Only binary classification is supported. The type of the target is {type_of_target(y)}.")
        if len(classes) < 2:
            raise ValueError("Classifier can't train when only one class is present.")
        self.classes_ = classes
        self.budget_ = self.sigma * shift_of_epsilon(self.epsilon, self.delta)
        self._noise = check_random_state(self.random_state)
        self.X_, self.y_ = self._columns(X), np.searchsorted(classes, y).astype(np.float64)
        self.refits_ = 0
        return self._train()

    def forget(self, X: Any, y: Any) -> Self:
        """Take rows out; refuse rows that are not in, and a request that leaves fewer than two classes."""
        X, y = checked_request(self, X, y)
        gone = find_rows(self.X_, self.y_, self._columns(X), label_positions(self.classes_, y))
        if len(np.unique(self.y_[~gone])) < 2:
            what = f"this request forgets the last row of class {self.classes_[int(self.y_[gone][0])]}; nothing was changed"
            raise InputError(what, do="two classes are needed: keep a row of it, or drop the estimator")
        lost = NoisyLogistic(self.X_[gone], self.y_[gone, None], self.strength)
        self.X_, self.y_ = self.X_[~gone], self.y_[~gone]
        self.forgotten_ += int(gone.sum())
        step, left = self._objective().removal(lost, self.weights_[:, None], size=self.size_)
        self.residual_bound_ += float(left[0])
        if self.residual_bound_ > self.budget_:
            self.refits_ += 1
            return self._train()
        return self._keep(self.weights_ + step[:, 0])

    def residual(self) -> float:
        """Return the true norm of the gradient over the kept rows, which `residual_bound_` bounds."""
        check_is_fitted(self)
        return float(np.linalg.norm(self._objective().gradient(self.weights_[:, None])))

    def guarantee(self) -> Guarantee:
        """Return what holds for the rows forgotten since the last training; those before it were never trained on."""
        check_is_fitted(self)
        return Guarantee(
            provenance=self.provenance,
            rows=self.forgotten_,
            epsilon=epsilon_of_shift(self.residual_bound_ / self.sigma, self.delta),
            delta=self.delta,
            epsilon_cap=self.epsilon,
            residual_bound=self.residual_bound_,
            budget=self.budget_,
            refits=self.refits_,
            assumptions=ASSUMPTIONS,
        )

    def decision_function(self, X: Any) -> Numbers:
        """Return w'x + intercept."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64)
        return np.asarray(X @ self.coef_[0] + self.intercept_[0])

    def predict_proba(self, X: Any) -> Numbers:
        """Return P(class | x)."""
        second = expit(self.decision_function(X))
        return np.stack([1 - second, second], axis=1)

    def predict(self, X: Any) -> np.ndarray[Any, Any]:
        """Return the more probable class."""
        second = self.decision_function(X) > 0
        return np.asarray(self.classes_[second.astype(int)])

    def _columns(self, X: Numbers) -> Numbers:
        return np.column_stack([X, np.ones(len(X))]) if self.fit_intercept else X.copy()

    def _objective(self) -> NoisyLogistic:
        return NoisyLogistic(self.X_, self.y_[:, None], self.strength, self.noise_[:, None])

    def _train(self) -> Self:
        """Minimise the objective with new noise."""
        width = self.X_.shape[1]
        self.noise_ = self.sigma * self._noise.standard_normal(width)
        self.forgotten_ = 0
        self.size_ = float(np.linalg.norm(self.X_, 2))
        start = np.zeros((width, 1))
        self._keep(self._objective().minimised(until=1e-9 * self.budget_, start=start)[:, 0])
        self.residual_bound_ = self.residual()
        check_trained(self.residual_bound_, self.budget_)
        return self

    def _keep(self, weights: Numbers) -> Self:
        self.weights_ = weights
        slopes = weights[:-1] if self.fit_intercept else weights
        self.coef_, self.intercept_ = slopes[None], weights[-1:] if self.fit_intercept else np.zeros(1)
        return self
