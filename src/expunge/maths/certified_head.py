"""A linear head that rows can be taken out of under a certificate: one noisy logistic regression a class, and one budget for all."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from expunge.statistics.canaries import epsilon_low
from expunge.statistics.gaussian_shift import epsilon_of_shift
from expunge.statistics.noisy_logistic import NoisyLogistic, Numbers, check_trained

Read = tuple[Numbers, Numbers]
"""Rows as a head reads them: its inputs, (rows, width), and their class numbers, (rows,)."""
CONVERGED = 1e-9
"""Norm of the gradient at which training stops, in standard deviations of the noise."""
LEFT = 10 * CONVERGED
"""Least norm of a trained gradient that is counted."""


@dataclass(frozen=True, eq=False)
class CertifiedHead:
    """Weights (width, problems) of one problem a class against the rest, or of one for two classes, and what forgetting spent.

    Noise of each problem and each training is drawn on its own from `secret`. `spent` (problems,) bounds the norm of each problem's
    gradient over the rows that are in. Their noises are independent: all weights together are the minimiser for one Gaussian noise that is
    shifted by at most |spent|_2. Over requests each problem's bounds add up: (epsilon, delta) are for all `forgotten` rows together.
    """

    weights: Numbers
    strength: float
    sigma: float
    secret: bytes
    spent: Numbers
    trainings: int = 1
    forgotten: int = 0
    """Rows taken out since the last training; those before it were never trained on."""

    @classmethod
    def trained(cls, rows: Read, *, classes: int, strength: float, sigma: float, secret: bytes) -> CertifiedHead:
        """Return the head trained on rows with noise of its own, from zero weights."""
        width, problems = rows[0].shape[1], 1 if classes == 2 else classes
        weights = np.zeros((width, problems))
        return cls(weights, strength, sigma, secret, np.zeros(problems), trainings=0).again(rows)

    def again(self, rows: Read) -> CertifiedHead:
        """Return the head trained on rows with new noise, from the weights it has; it has forgotten nothing."""
        new = replace(self, trainings=self.trainings + 1, forgotten=0)
        new = replace(new, weights=new.problems(rows).minimised(until=CONVERGED * self.sigma, start=self.weights))
        # the same gradient summed in another order differs by rounding: what training may leave is spent whole
        return replace(new, spent=np.maximum(new.residuals(rows), LEFT * self.sigma))

    @cached_property
    def noise(self) -> Numbers:
        """The noise of this training, (width, problems)."""
        seed = hashlib.blake2b(self.trainings.to_bytes(8, "big"), key=self.secret, digest_size=32).digest()
        draw = np.random.default_rng(int.from_bytes(seed, "big"))
        return np.asarray(self.sigma * draw.standard_normal(self.weights.shape))

    def problems(self, rows: Read) -> NoisyLogistic:
        """Return the objectives of all problems over rows."""
        return NoisyLogistic(rows[0], self.targets(rows[1]), self.strength, self.noise)

    def targets(self, labels: Numbers) -> Numbers:
        """Return 1 where a row is of a problem's class and 0 elsewhere, (n, problems); the one problem of two classes is class 1."""
        first = 1 if self.weights.shape[1] == 1 else 0
        return np.asarray(labels[:, None] == np.arange(first, first + self.weights.shape[1]), np.float64)

    def gradients(self, rows: Read) -> Numbers:
        """Return each problem's gradient over rows, (width, problems)."""
        return self.problems(rows).gradient(self.weights)

    def residuals(self, rows: Read) -> Numbers:
        """Return the true norm of each problem's gradient over rows, (problems,), which `spent` bounds."""
        return np.asarray(np.linalg.norm(self.gradients(rows), axis=0))

    @property
    def bound(self) -> float:
        """The bound on the norm of the gradient of all problems together."""
        return float(np.linalg.norm(self.spent))

    def epsilon(self, delta: float) -> float:
        """Return the epsilon at which all forgotten rows together are hidden."""
        return epsilon_of_shift(self.bound / self.sigma, delta)

    def forget(self, kept: Read, gone: Read, *, budget: float) -> CertifiedHead:
        """Return the head without the rows of `gone`: moved by a Newton step, or above the budget trained again on `kept`."""
        lost = NoisyLogistic(gone[0], self.targets(gone[1]), self.strength)
        step, left = self.problems(kept).removal(lost, self.weights, size=float(np.linalg.norm(kept[0], 2)))
        moved = replace(
            self, weights=self.weights + step, spent=self.spent + left, forgotten=self.forgotten + len(gone[0])
        )
        if moved.bound <= budget:
            return moved
        again = self.again(kept)
        check_trained(again.bound, budget)
        return again

    def linear(self) -> Numbers:
        """Return the linear layer, (width, classes): a class's score is its problem's; of two classes half the score each way."""
        if self.weights.shape[1] > 1:
            return self.weights
        return np.hstack([-self.weights / 2, self.weights / 2])


def canary_epsilon(
    head: CertifiedHead, kept: Read, gone: Read, *, budget: float, delta: float, trials: int, seed: int
) -> float:
    """Return the 95% lower bound on epsilon that `trials` trainings with `gone`, then removed, and as many without them show.

    What is looked at is the noise that weights are the minimiser for over the kept rows, noise - gradient: weights and it tell each other,
    and without the rows it is the noise itself. A trial draws one noise for both models; each rate is still one of independent trials.
    """
    both = np.vstack([gone[0], kept[0]]), np.concatenate([gone[1], kept[1]])
    samples: tuple[list[Numbers], list[Numbers]] = ([], [])
    for trial in range(trials):
        secret = hashlib.blake2b(f"canary {seed}/{trial}".encode(), digest_size=32).digest()
        blank = replace(head, secret=secret, trainings=0)
        models = blank.again(both).forget(kept, gone, budget=budget), blank.again(kept)
        for found, model in zip(samples, models, strict=True):
            found.append((model.noise - model.gradients(kept)).ravel())
    return epsilon_low(np.stack(samples[0]), np.stack(samples[1]), delta=delta)
