"""Logistic regression with noise in its training objective, and the Newton step that takes rows out of it.

L(w) = sum_i [log(1 + e^(x_i'w)) - y_i x_i'w] + n strength / 2 |w|^2 + b'w, y_i in {0, 1}, b ~ N(0, sigma^2 I) drawn once a training.
Taking rows out moves w by v = H^-1 D: H is the Hessian over the kept rows at w, D the gradient that the rows had, with their share of
the penalty. The gradient over the kept rows is then the path integral of (H(w + t v) - H(w)) v, of norm at most
gamma / 2 |X|_2 (sum_i (x_i'v)^4)^(1/2), gamma the largest |s''| of the logistic s; the moved w is the minimiser for a noise
shifted by that gradient. Source: Guo, Goldstein, Hannun, van der Maaten 2020, arXiv 1911.03030, corollary 1 and algorithm 2.
Differs: gamma is the exact 1 / (6 sqrt 3) (paper: 1/4), the path integral gives the 1/2, and the fourth powers stand for |v| |Xv|, so
that no |x| <= 1 is assumed; what the solve leaves counts too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expunge.facts.errors import InputError

Numbers = NDArray[np.float64]
BEND = 1 / (6 * np.sqrt(3))  # the largest |s''(z)| of s(z) = 1 / (1 + e^-z)
STEPS = 100


@dataclass(frozen=True, eq=False)
class NoisyLogistic:
    """The objective over rows x, (n, width), with labels y of 0 or 1, (n,), and noise, (width,) or 0."""

    x: Numbers
    y: Numbers
    strength: float
    noise: Any = 0.0

    def loss(self, weights: Numbers) -> float:
        """Return L(w)."""
        scores = self.x @ weights
        fit = (np.logaddexp(0, scores) - self.y * scores).sum()
        penalty = self.strength * len(self.x) / 2 * weights @ weights
        return float(fit + penalty + np.sum(self.noise * weights))

    def gradient(self, weights: Numbers) -> Numbers:
        """Return the gradient of L, (width,)."""
        from scipy.special import expit

        wrong = expit(self.x @ weights) - self.y
        return np.asarray(self.x.T @ wrong + self.strength * len(self.x) * weights + self.noise)

    def hessian(self, weights: Numbers) -> Numbers:
        """Return the Hessian of L, (width, width)."""
        from scipy.special import expit

        share = expit(self.x @ weights)
        hessian = (self.x * (share * (1 - share))[:, None]).T @ self.x
        return np.asarray(hessian + self.strength * len(self.x) * np.eye(len(hessian)))

    def minimised(self, *, until: float, start: Numbers | None = None) -> Numbers:
        """Return the weights at which the gradient is at most `until`, or what 100 damped Newton steps from zero or `start` reach."""
        from scipy.linalg import cho_factor, cho_solve

        weights = np.zeros(self.x.shape[1]) if start is None else start
        for _ in range(STEPS):
            slope = self.gradient(weights)
            if np.linalg.norm(slope) <= until:
                break
            step = cho_solve(cho_factor(self.hessian(weights)), slope)
            before, length = self.loss(weights), 1.0
            while self.loss(weights - length * step) > before - 1e-4 * length * (slope @ step) and length > 1e-6:
                length /= 2
            weights = weights - length * step
        return weights

    def removal(self, gone: NoisyLogistic, weights: Numbers, *, size: float) -> tuple[Numbers, float]:
        """Return the step v that takes the rows of `gone` out of a minimiser over both, and what it adds to the residual bound.

        `self` holds the kept rows, `size` is at least |X|_2 over them; `gone` has no noise.
        """
        from scipy.linalg import cho_factor, cho_solve

        lost, hessian = gone.gradient(weights), self.hessian(weights)
        step = cho_solve(cho_factor(hessian), lost)
        bent = BEND / 2 * size * float(np.sqrt(((self.x @ step) ** 4).sum()))
        return step, bent + float(np.linalg.norm(hessian @ step - lost))


def check_trained(residual: float, budget: float) -> None:
    """Refuse a training whose own gradient spends more than a hundredth of the budget."""
    if residual > 0.01 * budget:
        raise InputError(
            f"training stopped with a gradient of norm {residual:.1e}, over 1% of the budget {budget:.1e}",
            do="scale the features, or set a larger strength or sigma",
        )
