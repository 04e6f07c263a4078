"""A certified head: the estimator's own numbers for two classes, one Gaussian shift for many, and canaries that catch a broken one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from expunge.estimators.logistic_regression import CertifiedLogisticRegression
from expunge.facts.errors import InputError
from expunge.maths.certified_head import CertifiedHead, canary_epsilon
from expunge.statistics.gaussian_shift import epsilon_of_shift, shift_of_epsilon
from expunge.statistics.noisy_logistic import NoisyLogistic

DELTA = 1e-4
Read = tuple[np.ndarray, np.ndarray]


def rows(seed: int, n: int = 90, width: int = 4, classes: int = 3) -> Read:
    draw = np.random.default_rng(seed)
    x = np.column_stack([draw.normal(size=(n, width)), np.ones(n)])
    scores = 1.5 * x @ draw.normal(size=(width + 1, classes)) + draw.gumbel(size=(n, classes))
    return x, scores.argmax(1).astype(float)


def halves(given: Read, gone: int) -> tuple[Read, Read]:
    return (given[0][gone:], given[1][gone:]), (given[0][:gone], given[1][:gone])


def trained(given: Read, seed: int, classes: int = 3, **more: Any) -> CertifiedHead:
    settings = {"strength": 1e-2, "sigma": 1.0, **more}
    return CertifiedHead.trained(given, classes=classes, secret=f"test {seed}".encode(), **settings)


def test_two_classes_are_the_estimator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Same rows, same noise: weights, bound and epsilon of `CertifiedLogisticRegression` after 3 requests. Fails if class 0 is taken for the
    class, the step or the bound differ; or the two outputs' difference is not the score."""
    given = rows(0, classes=2)
    head = trained(given, 0, classes=2)
    ours = CertifiedLogisticRegression(sigma=1.0, strength=1e-2, epsilon=8.0, delta=DELTA, fit_intercept=False)

    class Drawn:
        def standard_normal(self, width: int) -> np.ndarray:
            return np.asarray(head.noise[:, 0] / 1.0)

    monkeypatch.setattr("expunge.estimators.logistic_regression.check_random_state", lambda _: Drawn())
    ours.fit(*given)
    for start in (0, 2, 4):
        kept, gone = halves((given[0][start:], given[1][start:]), 2)
        head = head.forget(kept, gone, budget=math.inf)
        ours.forget(*gone)
        assert ours.refits_ == 0
        assert head.weights[:, 0] == pytest.approx(ours.coef_[0], rel=1e-7)
        # the estimator's |X| is that of the rows trained on, the head's that of the rows kept: never larger
        assert 0.9 * ours.residual_bound_ < head.bound <= ours.residual_bound_
    assert head.epsilon(DELTA) <= ours.guarantee().epsilon
    linear = head.linear()
    assert kept[0] @ (linear[:, 1] - linear[:, 0]) == pytest.approx(ours.decision_function(kept[0]))


def test_each_class_has_its_own_noise_of_the_stated_size() -> None:
    """Fails if classes or trainings share a draw, the secret is not read, or sigma is a variance: 300 heads of 5 x 3."""
    blank = trained(rows(1, 10), 0)
    drawn = np.stack([trained(rows(1, 10), seed, sigma=2.0).noise for seed in range(300)])
    assert drawn.std() == pytest.approx(2.0, rel=0.04)
    flat = drawn.reshape(300, -1)
    assert np.abs(np.corrcoef(flat.T) - np.eye(15)).max() < 0.25
    again = blank.again(rows(1, 10))
    assert again.trainings == 2
    assert np.abs(again.noise - blank.noise).min() > 0


def test_the_bound_is_above_the_gradient_of_every_class() -> None:
    """60 problems of 3 to 5 classes, 4 requests each: the measured gradient is below the bound class by class, and at the worst above a
    twentieth of it. Fails if a class's rows are not taken out of the others' problems, or the bound says nothing."""
    shares = []
    for seed in range(60):
        draw = np.random.default_rng(seed)
        classes = int(draw.integers(3, 6))
        given = rows(seed, 80, classes=classes)
        head = trained(
            given, seed, classes=classes, strength=10 ** draw.uniform(-3, -1), sigma=10 ** draw.uniform(-1, 1)
        )
        for start in (0, 3, 6, 9):
            kept, gone = halves((given[0][start:], given[1][start:]), 3)
            head = head.forget(kept, gone, budget=math.inf)
            true = head.residuals(kept)
            assert (true <= head.spent * (1 + 1e-9)).all()
            shares.append(true.max() / head.spent.max())
        assert head.forgotten == 12
    assert max(shares) > 0.05


def test_epsilon_is_that_of_the_joint_shift() -> None:
    """Fails if bounds of classes are added instead of their squares, those of requests are not added, or epsilon is of the last one alone.

    The joint gradient of all classes, written as one vector, is the shift; its length is at most `bound`.
    """
    given = rows(5)
    head, spent, epsilons = trained(given, 5), [], []
    for start in (0, 1, 2, 3):
        kept, gone = halves((given[0][start:], given[1][start:]), 1)
        one = trained((given[0][start:], given[1][start:]), 5)
        head = head.forget(kept, gone, budget=math.inf)
        spent.append(head.spent)
        epsilons.append(head.epsilon(DELTA))
        assert head.bound == pytest.approx(math.sqrt(sum(float(b) ** 2 for b in head.spent)))
        assert head.epsilon(DELTA) == epsilon_of_shift(head.bound / 1.0, DELTA)
        assert np.linalg.norm(head.gradients(kept).ravel()) <= head.bound
        assert one.forgotten == 0
    assert (np.diff(np.stack(spent), axis=0) > 0).all()
    assert epsilons == sorted(epsilons)


def test_above_the_budget_it_is_trained_again() -> None:
    """The head over the kept rows with other noise, to the gradient of training. Fails if an overspent head is kept, noise is reused, or
    rows count as forgotten that the new training never saw."""
    given = rows(6)
    head = trained(given, 6).forget(*halves(given, 1), budget=math.inf)
    kept, gone = halves((given[0][1:], given[1][1:]), 20)
    assert head.forgotten == 1
    again = head.forget(kept, gone, budget=shift_of_epsilon(1.0, DELTA))
    assert (again.trainings, again.forgotten) == (2, 0)
    assert again.bound < 1e-6
    assert (again.residuals(kept) <= again.spent).all()
    assert again.spent.tolist() == [1e-8 * again.sigma] * 3
    assert np.abs(again.noise - head.noise).min() > 0
    with pytest.raises(InputError, match="over 1% of the budget"):
        head.forget(kept, gone, budget=1e-14)


def canaries(seed: int, *, gone: int = 4, trials: int = 100) -> tuple[float, float]:
    """Return (stated epsilon, lower bound of canaries) of a request of some rows."""
    given = rows(seed)
    kept, out = halves(given, gone)
    budget, head = shift_of_epsilon(1.0, DELTA), trained(given, seed)
    low = canary_epsilon(head, kept, out, budget=budget, delta=DELTA, trials=trials, seed=seed)
    return head.forget(kept, out, budget=budget).epsilon(DELTA), low


def test_canaries_do_not_contradict_an_honest_head() -> None:
    """3 problems, 4 or 8 rows. Fails if canaries see more than is stated: trials leave out the step, or differ in more than the rows."""
    for seed, gone in ((0, 4), (1, 8), (2, 8)):
        stated, low = canaries(seed, gone=gone)
        assert low <= stated, seed


def test_canaries_catch_noise_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise is stated and none is in the objective: every pair parts, however little the step leaves. Fails if canaries cannot fail.

    Requests that are above the budget are trained again, and without noise that gives the very same weights: those show nothing, rightly.
    """
    monkeypatch.setattr(CertifiedHead, "noise", property(lambda self: 0 * self.weights))
    caught = 0
    for seed in range(4):
        stated, low = canaries(seed, gone=1)
        caught += low > 2 > stated
        assert low > 2 or stated < 1e-6
    assert caught >= 3


def test_canaries_catch_a_step_that_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound of the step is stated and the weights stay: fails if what the canaries look at does not hold the rows' gradient."""
    true = NoisyLogistic.removal

    def idle(
        self: NoisyLogistic, gone: NoisyLogistic, weights: np.ndarray, *, size: float
    ) -> tuple[np.ndarray, np.ndarray]:
        return 0 * weights, true(self, gone, weights, size=size)[1] / 10

    monkeypatch.setattr(NoisyLogistic, "removal", idle)
    caught = sum(low > stated for stated, low in (canaries(seed, gone=8) for seed in range(3)))
    assert caught >= 2
