"""A lower bound on epsilon: by hand, never above the truth too often, and blind to what only its own choice of threshold saw."""

from __future__ import annotations

import math

import numpy as np
import pytest

from expunge.facts.errors import InputError
from expunge.statistics.canaries import best_threshold, epsilon_low, epsilon_seen
from expunge.statistics.gaussian_shift import epsilon_of_shift


def test_two_samples_that_part_by_hand() -> None:
    """50 and 50, all told apart: H >= .025^(1/50), F <= 1 - .025^(1/50), so epsilon >= log((H - delta) / F).

    Fails if limits are at 95% each, delta is not taken off, or the rates stand in for their limits (then it is infinite).
    """
    hit = 0.025 ** (1 / 50)
    found = epsilon_seen(np.ones(50), np.zeros(50), threshold=0.5, delta=0.01)
    assert found == pytest.approx(math.log((hit - 0.01) / (1 - hit)), rel=1e-9)
    assert 2.5 < found < 2.6


def test_both_readings_count() -> None:
    """50 of 50 hits and 30 of 50 false alarms: log(H / F) is small, but the misses tell more, log((1 - F) / (1 - H)) with F = .7359 (the exact
    limit of 30 in 50, from tables). Fails if only hits over false alarms are read, or a reading below 0 is given out."""
    with_rows, without = np.ones(50), np.concatenate([np.zeros(20), np.ones(30)])
    hit, alarm = 0.025 ** (1 / 50), 0.7359
    found = epsilon_seen(with_rows, without, threshold=0.5, delta=0.0)
    assert found == pytest.approx(math.log((1 - alarm) / (1 - hit)), abs=2e-3)
    assert found > math.log(hit / alarm)
    assert epsilon_seen(without, with_rows, threshold=0.5, delta=0.0) == 0.0


def test_a_shift_is_seen_and_not_overstated() -> None:
    """Unit Gaussians 3 apart and far from zero, 400 trainings of width 5: the bound is 1.5 or more, and never above the epsilon that the shift has.

    Fails if the direction is that of one mean, the threshold is lost, or a count is over rows of the wrong half.
    """
    truth = epsilon_of_shift(3.0, 1e-4)
    for seed in range(10):
        draw = np.random.default_rng(seed)
        shift, common = 3.0 * np.array([0.6, 0.8, 0, 0, 0]), np.array([0, 0, 0, 0, 50.0])
        one, other = draw.normal(size=(400, 5)) + common + shift, draw.normal(size=(400, 5)) + common
        found = epsilon_low(one, other, delta=1e-4)
        assert 1.5 < found <= truth


def test_nothing_is_seen_where_there_is_nothing() -> None:
    """400 pairs of samples of one Gaussian, 40 trainings each of width 60: at most 5% may show an epsilon above 0.

    Fails if the half that chose direction and threshold is counted: then most do, as 20 points a side part in 60 dimensions.
    """
    draw = np.random.default_rng(0)
    seen = [epsilon_low(draw.normal(size=(40, 60)), draw.normal(size=(40, 60)), delta=1e-4) > 0 for _ in range(400)]
    assert np.mean(seen) <= 0.05
    one, other = draw.normal(size=(40, 60)), draw.normal(size=(40, 60))
    chosen = one.mean(0) - other.mean(0)
    threshold = best_threshold(one @ chosen, other @ chosen, delta=1e-4)
    assert epsilon_seen(one @ chosen, other @ chosen, threshold=threshold, delta=1e-4) > 1


def test_what_cannot_be_halved_is_refused() -> None:
    """Fails if a bound is made of no training."""
    with pytest.raises(InputError, match="cannot be halved"):
        epsilon_low(np.zeros((1, 2)), np.zeros((1, 2)), delta=1e-4)
    with pytest.raises(InputError, match="trainings with the rows and trainings without"):
        epsilon_seen(np.zeros(0), np.zeros(3), threshold=0.0, delta=1e-4)
