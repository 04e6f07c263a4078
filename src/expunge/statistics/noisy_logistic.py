"""Logistic regressions with noise in their training objective, and the Newton step that takes rows out of them.

L(w) = sum_i [log(1 + e^(x_i'w)) - y_i x_i'w] + n strength / 2 |w|^2 + b'w, y_i in {0, 1}, b ~ N(0, sigma^2 I) drawn once a training.
Taking rows out moves w by v = H^-1 D: H is the Hessian over the kept rows at w, D the gradient that the rows had, with their share of
the penalty. The gradient over the kept rows is then the path integral of (H(w + t v) - H(w)) v, of norm at most
gamma / 2 |X|_2 (sum_i (x_i'v)^4)^(1/2), gamma the largest |s''| of the logistic s; the moved w is the minimiser for a noise
shifted by that gradient. Source: Guo, Goldstein, Hannun, van der Maaten 2020, arXiv 1911.03030, corollary 1 and algorithm 2.
Differs: gamma is the exact 1 / (6 sqrt 3) (paper: 1/4), the path integral gives the 1/2, and the fourth powers stand for |v| |Xv|, so
that no |x| <= 1 is assumed; what the solve leaves counts too. Problems over the same rows are solved together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expunge.facts.errors import InputError
from expunge.statistics.conjugate import solve_many

Numbers = NDArray[np.float64]
BEND = 1 / (6 * np.sqrt(3))  # the largest |s''(z)| of s(z) = 1 / (1 + e^-z)
STEPS = 100
SOLVED = 1e-4
"""Share of the gradient that a solve may leave in a step of training."""
EXACT = 1e-12
"""Share of the forgotten gradient that a solve may leave in a removal."""
ROUNDING = 1e-12
"""Share by which a loss may rise and count as the same: near the end a step changes it by less than its sums are rounded."""


@dataclass(frozen=True, eq=False)
class NoisyLogistic:
    """Objectives over rows x, (n, width), with labels y of 0 or 1, (n, problems), and noise, (width, problems) or 0."""

    x: Numbers
    y: Numbers
    strength: float
    noise: Any = 0.0

    def loss(self, weights: Numbers) -> Numbers:
        """Return L(w) of each problem, (problems,), for weights (width, problems)."""
        scores = self.x @ weights
        fit = (np.logaddexp(0, scores) - self.y * scores).sum(0)
        penalty = self.strength * len(self.x) / 2 * (weights * weights).sum(0)
        return np.asarray(fit + penalty + (self.noise * weights).sum(0))

    def gradient(self, weights: Numbers) -> Numbers:
        """Return the gradient of each L, (width, problems)."""
        from scipy.special import expit

        wrong = expit(self.x @ weights) - self.y
        return np.asarray(self.x.T @ wrong + self.strength * len(self.x) * weights + self.noise)

    def bend(self, weights: Numbers) -> Numbers:
        """Return s'(x_i'w) of each row and problem, (n, problems)."""
        from scipy.special import expit

        share = expit(self.x @ weights)
        return np.asarray(share * (1 - share))

    def curved(self, bend: Numbers, moves: Numbers) -> Numbers:
        """Return each problem's Hessian times a move of its own, (width, problems)."""
        return np.asarray(self.x.T @ (bend * (self.x @ moves)) + self.strength * len(self.x) * moves)

    def solve(self, weights: Numbers, wanted: Numbers, *, within: Numbers) -> Numbers:
        """Return H^-1 wanted of each problem at its weights, (width, problems), up to a residual of norm `within`, (problems,).

        The Hessian of the problems' mean bend is factored once and preconditions all: one problem is solved by its own factor.
        """
        from scipy.linalg import cho_factor

        bend = self.bend(weights)
        mean = (self.x * bend.mean(1, keepdims=True)).T @ self.x + self.strength * len(self.x) * np.eye(self.x.shape[1])
        return solve_many(
            lambda moves, which: self.curved(bend[:, which], moves), cho_factor(mean), wanted, within=within
        )

    def minimised(self, *, until: float, start: Numbers) -> Numbers:
        """Return the weights at which each gradient is at most `until`, or what 100 damped Newton steps from `start` reach."""
        weights = start.copy()
        for _ in range(STEPS):
            slope = self.gradient(weights)
            size = np.linalg.norm(slope, axis=0)
            which = size > until
            if not which.any():
                break
            some, at, slope = self.some(which), weights[:, which], slope[:, which]
            step = some.solve(at, slope, within=SOLVED * size[which])
            before, length = some.loss(at), np.ones(which.sum())
            most = before + ROUNDING * np.abs(before)
            while (worse := (some.loss(at - length * step) > most - 1e-4 * length * (slope * step).sum(0))
                    & (length > 1e-6)).any():  # fmt: skip
                length[worse] /= 2
            weights[:, which] = at - length * step
        return weights

    def some(self, which: NDArray[np.bool_]) -> NoisyLogistic:
        """Return the objectives of some problems."""
        noise = self.noise[:, which] if np.ndim(self.noise) else self.noise
        return NoisyLogistic(self.x, self.y[:, which], self.strength, noise)

    def removal(self, gone: NoisyLogistic, weights: Numbers, *, size: float) -> tuple[Numbers, Numbers]:
        """Return the steps v that take the rows of `gone` out of minimisers over both, and what each adds to its residual bound.

        `self` holds the kept rows, `size` is at least |X|_2 over them; `gone` has no noise. Shapes (width, problems), (problems,).
        """
        lost = gone.gradient(weights)
        step = self.solve(weights, lost, within=EXACT * np.linalg.norm(lost, axis=0))
        bent = BEND / 2 * size * np.sqrt(((self.x @ step) ** 4).sum(0))
        return step, bent + np.linalg.norm(self.curved(self.bend(weights), step) - lost, axis=0)


def check_trained(residual: float, budget: float) -> None:
    """Refuse a training whose own gradient spends more than a hundredth of the budget."""
    if residual > 0.01 * budget:
        raise InputError(
            f"training stopped with a gradient of norm {residual:.1e}, over 1% of the budget {budget:.1e}",
            do="scale the features, or set a larger strength or sigma",
        )
