"""AUC and its bounds against scikit-learn, plain loops and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri
from sklearn.metrics import roc_auc_score, roc_curve

from expunge.facts.errors import InputError
from expunge.statistics.auc import auc, auc_bounds, auc_difference_bounds, tpr_at_fpr

integers = st.lists(st.integers(-5, 5), min_size=1, max_size=15)


@given(integers, integers)
def test_auc_equals_scikit_learn_with_ties(members: list[int], others: list[int]) -> None:
    """Fails if a tie counts 0 or 1 in place of one half."""
    expected = roc_auc_score([1] * len(members) + [0] * len(others), members + others)
    assert auc(members, others) == pytest.approx(expected, abs=1e-12)


@given(integers, integers)
def test_auc_is_complementary_under_a_sign_flip(members: list[int], others: list[int]) -> None:
    """Fails if orientation is lost: an AUC below 0.5 is no success (a peer takes it for one)."""
    flipped = auc([-value for value in members], [-value for value in others])
    assert auc(members, others) + flipped == pytest.approx(1.0)


@pytest.mark.parametrize(("members", "others"), [([], [1.0]), ([1.0], []), ([np.nan], [1.0]), ([1.0], [np.inf])])
def test_auc_never_falls_back_to_a_half(members: list[float], others: list[float]) -> None:
    """AUC 0.5 fallback, a peer's defect.  Fails if an empty or NaN side gives a number."""
    with pytest.raises(InputError):
        auc(members, others)


def test_bounds_equal_delong_by_hand() -> None:
    """Fails if the two sides' variances are swapped, a divisor n stands for n - 1, or the critical value is two-sided.

    Placements written out: members {3, 2, 5, 1} against {0, 2, 4}: V10 = 2/3, 1/2, 1, 1/3; V01 = 1, 5/8, 1/4.
    """
    found = auc_bounds([3, 2, 5, 1], [0, 2, 4])
    one, two = np.array([2 / 3, 1 / 2, 1, 1 / 3]), np.array([1, 5 / 8, 1 / 4])
    shares = one.var(ddof=1) / 4, two.var(ddof=1) / 3
    degrees = sum(shares) ** 2 / (shares[0] ** 2 / 3 + shares[1] ** 2 / 2)
    from scipy.stats import t

    assert found.estimate == pytest.approx(0.625)
    assert found.high - found.estimate == pytest.approx(t.ppf(0.95, degrees) * sum(shares) ** 0.5, rel=1e-9)
    power = t.ppf(0.8, degrees) * sum(shares) ** 0.5
    assert found.smallest_visible == pytest.approx(found.high - found.estimate + power, rel=1e-9)


def test_paired_difference_equals_the_variance_of_paired_placements() -> None:
    """Fails if models are taken as independent (an unpaired comparison): then the error would be several times larger."""
    generator = np.random.default_rng(0)
    forget, holdout = generator.normal(0.5, 1, 120), generator.normal(0, 1, 90)
    near = [(forget + generator.normal(0, 0.1, 120), holdout + generator.normal(0, 0.1, 90)) for _ in range(3)]
    found = auc_difference_bounds(forget, holdout, near)
    mean = np.mean([auc(*one) for one in near])
    assert found.estimate == pytest.approx(auc(forget, holdout) - mean, abs=1e-12)

    def both(one: np.ndarray, two: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        wins = (one[:, None] > two[None, :]).astype(float)
        return wins.mean(1), wins.mean(0)

    own, control = both(forget, holdout), [both(*pair) for pair in near]
    error = np.sqrt(sum((own[s] - np.mean([c[s] for c in control], 0)).var(ddof=1) / n for s, n in ((0, 120), (1, 90))))
    assert found.smallest_visible - (found.high - found.estimate) == pytest.approx(0.8416 * error, rel=0.01)
    unpaired = auc_bounds(forget, holdout)
    assert error < 0.2 * (unpaired.smallest_visible - unpaired.high + unpaired.estimate) / 0.8416


def test_a_perfect_auc_keeps_width() -> None:
    """Fails if DeLong's variance of 0 at AUC 1, or between two equal models, gives an interval without width."""
    perfect = auc_bounds([2.0] * 80, [1.0] * 80)
    least = 2 * 1.664371**2 / 80
    assert (perfect.estimate, perfect.high) == (1.0, 1.0)
    assert perfect.low == pytest.approx(1 - least / (1 + least), abs=1e-4)
    same = auc_difference_bounds([2.0] * 80, [1.0] * 80, [([2.0] * 80, [1.0] * 80)])
    assert same.low == pytest.approx(-least / (1 + least), abs=1e-4)
    assert same.high == pytest.approx(least / (1 + least), abs=1e-4)


def test_true_positives_at_few_false_ones() -> None:
    """Fails if ties pass the threshold, the rate is rounded up, or too few non-members are accepted in silence."""
    generator = np.random.default_rng(1)
    members, others = generator.integers(0, 40, 300).astype(float) + 5, generator.integers(0, 40, 200).astype(float)
    fpr, tpr, _ = roc_curve([1] * 300 + [0] * 200, np.r_[members, others], drop_intermediate=False)
    for rate in (0.01, 0.05, 0.2):
        found = tpr_at_fpr(members, others, rate)
        assert found.estimate == pytest.approx(tpr[fpr <= rate].max())
        assert found.low < found.estimate < found.high
    with pytest.raises(InputError, match="cannot show"):
        tpr_at_fpr(members, others, 0.001)


@pytest.mark.parametrize("correlation", [0.0, 0.2])
def test_size_with_twenty_rows_an_author(correlation: float) -> None:
    """Non-inferiority of an AUC at its margin passes in at most 5% of samples with 20 authors of 20 rows on each side.

    Fails if rows of an author are taken as independent: at a correlation of 0.2 the size is then about 0.2.
    """
    generator = np.random.default_rng(2)
    margin, replicates, groups = 0.2 * np.sqrt(80 / 400), 400, np.repeat(np.arange(20), 20)
    shift, passed = float(np.sqrt(2) * ndtri(0.5 + margin)), 0

    def rows(by: float = 0.0) -> np.ndarray:
        author, own = generator.normal(size=20) * correlation**0.5, generator.normal(size=400)
        return by + np.repeat(author, 20) + own * (1 - correlation) ** 0.5

    for _ in range(replicates):
        controls = [(rows(), rows()) for _ in range(3)]
        passed += auc_difference_bounds(rows(shift), rows(), controls, groups, groups).high < margin
    assert passed / replicates <= 0.05 + 2.33 * np.sqrt(0.05 * 0.95 / replicates)
