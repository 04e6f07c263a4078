"""Score bounds: equal to Wilson's where they must be, with width where nothing was seen, and of the right size."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import binom, binomtest, t

from expunge.facts.errors import InputError
from expunge.statistics.bounds import mean_bounds, paired_success_bounds, success_bounds, unpaired_success_bounds
from expunge.statistics.equivalence import shrunk_margin

Z = 1.6448536269514722


def zeros_and_ones(successes: int, n: int) -> list[float]:
    return [1.0] * successes + [0.0] * (n - successes)


@pytest.mark.parametrize(("successes", "n"), [(0, 80), (3, 80), (40, 80), (80, 80)])
def test_single_rows_of_zero_and_one_are_wilson_with_continuity(successes: int, n: int) -> None:
    """Fails if the variance is that of the sample (Wald), or the correction is not half a row."""
    found = success_bounds(zeros_and_ones(successes, n))
    expected = binomtest(successes, n).proportion_ci(0.90, "wilsoncc")
    assert found.estimate == successes / n
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_nothing_against_nothing_keeps_width_at_80() -> None:
    """0/80 against 0/80 by hand: (u - 1/160)^2 = z^2 / 80 * u (1 - u).  Fails with a Wald interval, whose width is 0."""
    found = paired_success_bounds([0.0] * 80, [0.0] * 80)
    c = Z**2 / 80
    by_hand = max(np.roots([1 + c, -(1 / 80 + c), 1 / 160**2]))
    assert by_hand == pytest.approx(0.0439442, abs=1e-6)
    assert (found.low, found.estimate, found.high) == pytest.approx((-by_hand, 0.0, by_hand), abs=1e-12)
    assert found.smallest_visible == pytest.approx(by_hand, abs=1e-12)
    assert by_hand < shrunk_margin(0.15, 80)


def test_bounds_solve_the_score_equation() -> None:
    """Fails if a term of the quadratic is wrong: the bound is found again as a root, the mixture written out.

    Continuous differences in clusters; V(m) = [(1 - w) s^2 effect + w (1 - w) (1 - mean)^2 unseen] / n, w = u / (1 - mean).
    """
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(12), 10)
    values = (generator.random(120) < 0.2).astype(float)
    control = generator.random(120) * 0.3
    difference = values - control
    found = paired_success_bounds(values, control, groups)
    mean, variance = difference.mean(), difference.var()
    sums = np.bincount(groups, weights=difference - mean)
    effect = max(1.0, 12 / 11 * (sums @ sums) / 120**2 / (variance / 120))
    unseen = max(effect, 1 + 9 * 0.15)
    critical = t.ppf(0.95, 11)

    def excess(bound: float) -> float:
        weight = (bound - mean) / (1 - mean)
        spread = ((1 - weight) * variance * effect + weight * (1 - weight) * (1 - mean) ** 2 * unseen) / 120
        return (bound - mean - 0.5 / 120) ** 2 - critical**2 * spread

    assert found.high == pytest.approx(brentq(excess, mean + 0.5 / 120, 0.999), abs=1e-9)
    power = t.ppf(0.8, 11) * np.sqrt(variance * effect / 120)
    assert found.smallest_visible == pytest.approx(found.high - found.estimate + power, rel=1e-9)
    mirrored = paired_success_bounds(control, values, groups)
    assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low))


def test_other_rows_take_newcombes_hybrid() -> None:
    """Newcombe 1998, method 11: 56/70 - 48/80, two-sided 95%: 0.0428 to 0.3422.  Fails if limits are swapped."""
    found = unpaired_success_bounds(zeros_and_ones(56, 70), zeros_and_ones(48, 80), alpha=0.025)
    assert (found.low, found.high) == pytest.approx((0.0428, 0.3422), abs=1e-4)


def test_continuous_means_take_student() -> None:
    """Fails if the divisor is n, or t is normal: 1, 2, 3, 6 has mean 3, s = 2.160, t_3 = 2.353."""
    found = mean_bounds([1.0, 2.0, 3.0, 6.0])
    assert found.high - 3 == pytest.approx(2.3533634 * np.sqrt(14 / 3) / 2, rel=1e-6)
    with pytest.raises(InputError):
        mean_bounds([1.0])


def test_values_outside_their_range_are_refused() -> None:
    """Fails if a success of 1.2, or one that only its difference hides (1.5 - 0.7), is taken."""
    with pytest.raises(InputError, match="outside"):
        success_bounds([0.2, 1.2])
    with pytest.raises(InputError, match="outside"):
        paired_success_bounds([1.5], [0.7])


def test_exact_size_of_single_rows() -> None:
    """At every n the chance to pass at the margin is at most 5%, summed over the binomial.

    Fails without the continuity correction: it is then 6.4% at n = 47.
    """
    worst = 0.0
    for n in (20, 40, 47, 60, 80, 114, 200, 400):
        margin = shrunk_margin(0.15, n)
        passing = [x for x in range(int(margin * n) + 1) if success_bounds(zeros_and_ones(x, n)).high < margin]
        worst = max(worst, float(binom.pmf(passing, n, margin).sum()))
    assert 0.03 < worst <= 0.05


def leak(generator: np.random.Generator, rate: float, correlation: float, authors: int) -> np.ndarray:
    """Return (20 * authors,) successes whose authors' rates scatter with the given intra-class correlation."""
    if rate == 0 or correlation == 0:
        return (generator.random(20 * authors) < rate).astype(float)
    spread = 1 / correlation - 1
    return (
        generator.random(20 * authors) < np.repeat(generator.beta(rate * spread, (1 - rate) * spread, authors), 20)
    ).astype(float)


@pytest.mark.parametrize("authors", [10, 20])
@pytest.mark.parametrize("base", [0.0, 0.1])
@pytest.mark.parametrize("correlation", [0.0, 0.15])
def test_size_with_twenty_rows_an_author(authors: int, base: float, correlation: float) -> None:
    """Non-inferiority at the margin passes in at most 5% of samples: authors of 20 rows, three controls.

    Fails if rows are taken as independent (size 0.12 to 0.22 at a correlation of 0.15), or the variance is the sample's.
    """
    generator = np.random.default_rng(authors)
    n, replicates = 20 * authors, 1500
    margin, groups = shrunk_margin(0.15, n), np.repeat(np.arange(authors), 20)
    passed = 0
    for _ in range(replicates):
        control = np.mean([leak(generator, base, correlation, authors) for _ in range(3)], 0)
        passed += (
            paired_success_bounds(leak(generator, base + margin, correlation, authors), control, groups).high < margin
        )
    assert passed / replicates <= 0.05 + 2.33 * np.sqrt(0.05 * 0.95 / replicates)


def test_size_given_four_authors() -> None:
    """With four authors the statement is about them: their rates stay, rows are drawn anew, and the size holds.

    Fails if the bounds were narrower than those of 80 single rows.
    """
    generator = np.random.default_rng(4)
    rates, replicates = np.repeat([0.02, 0.08, 0.1, 0.4], 20), 3000
    groups = np.repeat(np.arange(4), 20)
    draws = (generator.random((replicates, 80)) < rates).astype(float)
    passed = sum(paired_success_bounds(row, np.zeros(80), groups).high < 0.15 for row in draws)
    assert passed / replicates <= 0.05


def test_power_of_a_clean_model() -> None:
    """A model like its controls (4% each) passes in 9 of 10 samples of 80 single rows, and sees its margin.

    Fails if the bounds are much wider than they need be (a Bonferroni correction over 20 attacks, for one).
    """
    generator = np.random.default_rng(6)
    passed = 0
    for _ in range(500):
        control = np.mean([leak(generator, 0.04, 0, 4) for _ in range(3)], 0)
        found = paired_success_bounds(leak(generator, 0.04, 0, 4), control)
        passed += found.high < 0.15 and found.smallest_visible <= 0.15
    assert passed / 500 >= 0.9
