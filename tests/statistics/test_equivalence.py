"""Margins, equivalence and the noise floor: by hand, and their size and power by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import hypergeom, t

from expunge.facts.errors import InputError
from expunge.statistics.bounds import Bounds, paired_success_bounds
from expunge.statistics.equivalence import (
    highest_of_another,
    is_equivalent,
    is_non_inferior,
    is_superior,
    leave_one_out_bounds,
    paired_bounds,
    shrunk_margin,
)
from expunge.statistics.multiple import holm


def test_margins_shrink_above_80_rows_and_never_grow() -> None:
    """Fails if the margin grows below 80 rows, or shrinks with 1 / n."""
    assert [shrunk_margin(0.15, n) for n in (20, 80, 320)] == pytest.approx([0.15, 0.15, 0.075])


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-0.04, 0.04, (True, True, False)),
        (-0.06, 0.04, (True, False, False)),
        (-0.04, 0.06, (False, False, False)),
        (0.01, 0.04, (True, True, True)),
        (-0.05, 0.05, (False, False, False)),
    ],
)
def test_decisions(low: float, high: float, expected: tuple[bool, bool, bool]) -> None:
    """Fails if over-forgetting (low below -margin) passes equivalence, or touching the margin passes anything."""
    bounds = Bounds(estimate=(low + high) / 2, low=low, high=high, smallest_visible=0.0, n=80)
    assert (is_non_inferior(bounds, 0.05), is_equivalent(bounds, 0.05), is_superior(bounds)) == expected


def test_pairs_against_the_mean_of_controls_by_hand() -> None:
    """Fails if the control is one model, or rows are not paired: differences 0.1, 0.2, 0.3 to the mean of two models."""
    found = paired_bounds([0.6, 0.7, 0.8], [[0.4, 0.5, 0.6], [0.6, 0.5, 0.4]])
    width = t.ppf(0.95, 2) * 0.1 / 3**0.5
    assert (found.low, found.estimate, found.high) == pytest.approx((0.2 - width, 0.2, 0.2 + width))
    binary = paired_bounds([1.0, 0.0, 0.0], [[0.0, 0.0, 0.0]])
    assert binary == paired_success_bounds([1.0, 0.0, 0.0], [0.0, 0.0, 0.0])
    with pytest.raises(InputError, match="controls of shape"):
        paired_bounds([0.5, 0.5], [[0.5, 0.5, 0.5]])


def test_each_retrained_model_is_left_out_in_turn() -> None:
    """Fails if a model is compared with a mean that holds itself: the differences are then a third smaller."""
    table = [[0.0, 0.1], [0.3, 0.1], [0.6, 0.1]]
    found = leave_one_out_bounds(table)
    assert [one.estimate for one in found] == pytest.approx([-0.225, 0.0, 0.225])
    with pytest.raises(InputError, match="at least two"):
        leave_one_out_bounds([[0.1, 0.2]])


@pytest.mark.parametrize("correlation", [0.0, 0.3])
def test_size_of_two_one_sided_tests(correlation: float) -> None:
    """At a true difference equal to the margin at most 5% pass: 10 authors of 20 rows, three retrained models.

    Fails if rows are independent units (size about 0.25 at 0.3), or the interval is two-sided 95% (then it is below 0.035).
    """
    generator = np.random.default_rng(0)
    groups, replicates, passed = np.repeat(np.arange(10), 20), 2500, 0
    author = np.repeat(generator.normal(size=(replicates, 4, 10)), 20, axis=2) * correlation**0.5
    values = 0.05 * (author + generator.normal(size=(replicates, 4, 200)) * (1 - correlation) ** 0.5)
    for one in values:
        passed += is_equivalent(paired_bounds(one[0] + 0.02, one[1:], groups), 0.02)
    error = np.sqrt(0.05 * 0.95 / replicates)
    assert passed / replicates <= 0.05 + 2.33 * error
    if correlation == 0:
        assert passed / replicates >= 0.05 * 0.7 - 2.33 * error


def test_power_of_two_one_sided_tests() -> None:
    """A model like the retrained ones passes in at least 95% of samples.  Fails if the units are all but thrown away."""
    generator = np.random.default_rng(1)
    passed = 0
    for _ in range(400):
        values = 0.5 + 0.1 * generator.normal(size=(4, 80))
        passed += is_equivalent(paired_bounds(values[0], values[1:]), 0.05)
    assert passed / 400 >= 0.95


def test_a_leak_through_one_attack_of_twenty_is_caught() -> None:
    """A model that leaks .08 -> .25 through 1 of 20 attacks, 80 rows.

    Where "no significant difference" is the verdict, Fisher's exact tests pass it in 6% of samples uncorrected and in 53%
    with Holm: absence of proof is taken for proof. Every attack non-inferior (intersection-union) passes it in at most
    5%, however many attacks there are.
    Fails if a correction enters the verdict, or the verdict asks for a significant difference.
    """
    generator = np.random.default_rng(2)
    replicates = 2000
    leaky, control = generator.random((replicates, 80)) < 0.25, generator.random((replicates, 80)) < 0.08
    clean, others = generator.binomial(80, 0.08, (2, replicates, 19))

    one, two = np.c_[leaky.sum(1), clean], np.c_[control.sum(1), others]
    p = hypergeom.sf(one - 1, 160, one + two, 80)
    assert (p > 0.05).all(1).mean() == pytest.approx(0.06, abs=0.02)
    assert np.mean([(holm(row) > 0.05).all() for row in p]) == pytest.approx(0.53, abs=0.03)
    pairs = zip(leaky.astype(float), control.astype(float), strict=True)
    passed = np.mean([is_non_inferior(paired_success_bounds(*pair), 0.15) for pair in pairs])
    assert passed <= 0.05


def test_another_model_by_hand() -> None:
    """1, 2, 3: 2 + 2.919986 * 1 * sqrt(4/3); models that agree leave no room.

    Fails if the spread is that of the mean (sqrt(1/3)), of n instead of n - 1, or the normal's 1.645 stands for t.
    """
    assert highest_of_another([1.0, 2.0, 3.0]) == pytest.approx(2 + 2.9199856 * np.sqrt(4 / 3))
    assert highest_of_another([0.25, 0.25]) == 0.25
    with pytest.raises(InputError, match="at least two"):
        highest_of_another([0.3])


def test_another_model_exceeds_the_bound_one_time_in_twenty() -> None:
    """20,000 draws of 4 + 1. Fails if the level is missed by a third."""
    drawn = np.random.default_rng(0).normal(size=(20_000, 5))
    above = np.mean([one[4] > highest_of_another(one[:4]) for one in drawn])
    assert 0.043 < above < 0.057
