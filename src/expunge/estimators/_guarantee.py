"""What stands behind a model that forgot within a budget: (epsilon, delta), how much is spent, and what is assumed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sklearn.utils.validation import check_is_fitted

from expunge.facts.errors import InputError
from expunge.statistics.gaussian_shift import epsilon_of_shift, shift_of_epsilon

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


def check_settings(strength: float, sigma: float, epsilon: float) -> None:
    """Refuse settings under which nothing is bounded, and an epsilon that promises next to nothing."""
    if not (strength > 0 and sigma > 0 and 0 < epsilon <= CAP):
        what = f"strength {strength}, sigma {sigma} and epsilon {epsilon} must be above 0, and epsilon at most {CAP:g}"
        raise InputError(what)


def budget_of(sigma: float, epsilon: float, delta: float) -> float:
    """Return the norm of the gradient over the kept rows that noise of standard deviation `sigma` hides within (epsilon, delta)."""
    return sigma * shift_of_epsilon(epsilon, delta)


def guarantee_of(estimator: Any) -> Guarantee:
    """Return what holds for the rows that an estimator has forgotten since it was last trained.

    The noise has standard deviation `sigma` in each direction, so a gradient of norm r left over the kept rows is a shift of r / sigma.
    """
    check_is_fitted(estimator)
    return Guarantee(
        provenance=estimator.provenance,
        rows=estimator.forgotten_,
        epsilon=epsilon_of_shift(estimator.residual_bound_ / estimator.sigma, estimator.delta),
        delta=estimator.delta,
        epsilon_cap=estimator.epsilon,
        residual_bound=estimator.residual_bound_,
        budget=estimator.budget_,
        refits=estimator.refits_,
        assumptions=ASSUMPTIONS,
    )
