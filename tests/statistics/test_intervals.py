"""Intervals against published examples, scipy and plain resampling."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from expunge.facts.errors import InputError
from expunge.statistics.intervals import bootstrap_mean, clopper_pearson, newcombe, tango, wilson


@pytest.mark.parametrize(("successes", "n"), [(0, 80), (1, 80), (17, 23), (80, 80)])
def test_proportions_equal_scipy(successes: int, n: int) -> None:
    """Fails if z is one-sided, or a tail of the beta quantile is off by one success."""
    for found, method in ((wilson(successes, n), "wilson"), (clopper_pearson(successes, n), "exact")):
        expected = binomtest(successes, n).proportion_ci(0.95, method)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-9, abs=1e-15)
    with pytest.raises(InputError):
        wilson(2, 1)


def test_newcombe_equals_his_published_examples() -> None:
    """Newcombe 1998, table II, method 10.  Fails if lower and upper Wilson limits are swapped in the hybrid."""
    published = {
        (56, 70, 48, 80): (0.0524, 0.3339),
        (9, 10, 3, 10): (0.1705, 0.8090),
        (0, 10, 0, 10): (-0.2775, 0.2775),
    }
    for counts, (low, high) in published.items():
        found = newcombe(*counts)
        assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)


def test_tango_solves_its_own_equation() -> None:
    """Fails if the restricted share q is wrong, or a side of the interval is mirrored.

    q is found again as the maximum of the trinomial likelihood under the bound, over a fine grid: 9 rows on which only
    the first succeeds, 2 on which only the second, 29 alike.
    """
    found = tango(9, 2, 40)
    for bound in (found.low, found.high):
        share = np.linspace(1e-6, (1 - bound) / 2 - 1e-6, 400_001)
        logs = 9 * np.log(share + bound) + 2 * np.log(share) + 29 * np.log(1 - 2 * share - bound)
        best = share[np.argmax(logs)]
        statistic = (7 - 40 * bound) / np.sqrt(40 * (2 * best + bound * (1 - bound)))
        assert abs(statistic) == pytest.approx(1.959964, abs=1e-4)
    assert found.low < 7 / 40 < found.high
    mirrored = tango(2, 9, 40)
    assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low))


def test_nothing_against_nothing_keeps_width() -> None:
    """0/80 against 0/80.  Fails if a Wald interval (width 0) is used: z^2 / (n + z^2) = 0.0458 by hand."""
    found = tango(0, 0, 80)
    assert (found.low, found.high) == pytest.approx((-0.045818, 0.045818), abs=1e-6)
    assert newcombe(0, 80, 0, 80).high == pytest.approx(0.045818, abs=1e-6)


def test_the_bootstrap_draws_whole_groups() -> None:
    """Unpaired or row-wise resampling, peers' defects.  Fails if rows of a group are drawn apart: the width then halves."""
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), 20)
    values = np.repeat(generator.normal(size=30), 20) + 0.1 * generator.normal(size=600)
    by_group, by_row = bootstrap_mean(values, groups), bootstrap_mean(values)
    assert bootstrap_mean(values, groups) == by_group
    means = values.reshape(30, 20).mean(1)
    plain = np.random.default_rng(5)
    draws = [means[plain.integers(0, 30, 30)].mean() for _ in range(4000)]
    assert (by_group.low, by_group.high) == pytest.approx(tuple(np.quantile(draws, [0.025, 0.975])), abs=0.03)
    assert by_row.high - by_row.low < 0.4 * (by_group.high - by_group.low)
    with pytest.raises(InputError, match="one group"):
        bootstrap_mean(values, np.zeros(600, int))
