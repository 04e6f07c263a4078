"""The design effect by hand."""

from __future__ import annotations

import numpy as np
import pytest

from expunge.facts.errors import InputError
from expunge.statistics.clusters import critical, dense_groups, numbers, spread


def test_design_effect_of_whole_groups_is_their_size() -> None:
    """Fails if group sums are not squared, G / (G - 1) is missing, or the effect falls below 1.

    10 groups of 4 equal rows, half 0 and half 1: variance of the mean = 10/9 * sum (4 * 0.5)^2 / 40^2 = 0.02778,
    that of 40 single rows = 0.25 / 40 = 0.00625: the effect is 4.444.
    """
    values = np.repeat([0.0, 1.0] * 5, 4)
    found = spread(values, np.repeat(np.arange(10), 4))
    assert found.design_effect == pytest.approx(40 / 9)
    assert found.error == pytest.approx(np.sqrt(10 / 9 * 10 * 4 / 40**2))
    assert (found.groups, found.degrees, found.clustered) == (10, 9, True)
    alternating = spread(np.tile([0.0, 1.0], 20), np.repeat(np.arange(10), 4))
    assert alternating.design_effect == 1.0


def test_unseen_effect_uses_the_size_of_the_group_a_row_is_in() -> None:
    """Fails if the plain mean size stands for Kish's: sizes 1 and 9 (x5 each) give m = (5 + 405) / 50 = 8.2."""
    sizes = [1, 9] * 5
    found = spread(np.zeros(50), np.repeat(np.arange(10), sizes))
    assert found.unseen_effect == pytest.approx(1 + 7.2 * 0.15)


def test_few_groups_leave_rows_as_units() -> None:
    """Fails if 9 groups are resampled (or 10 are not): below ten the statement is about these groups."""
    values = np.repeat([0.0, 1.0, 1.0], 12)
    nine, ten = np.repeat(np.arange(9), 4), np.arange(36) % 10
    assert not spread(values, nine).clustered
    assert spread(values, nine).groups == 9
    assert spread(values, nine).error == pytest.approx(np.sqrt(values.var(ddof=1) / 36))
    assert spread(values, ten).clustered
    assert spread(values, nine, min_groups=5).clustered


def test_rows_alone_and_bad_input() -> None:
    """Fails if one row a group counts as clustering, or NaN passes."""
    assert dense_groups([5, 6, 7], 3) is None
    assert dense_groups([5, 5, 7], 3).tolist() == [0, 0, 1]
    with pytest.raises(InputError, match="2 groups for 3 rows"):
        dense_groups([1, 2], 3)
    with pytest.raises(InputError, match="not finite"):
        numbers([1.0, float("nan")])
    with pytest.raises(InputError, match="at least one"):
        numbers([])
    assert critical(0.05) == pytest.approx(1.6448536, abs=1e-6)
    assert critical(0.05, 9) == pytest.approx(1.8331129, abs=1e-6)
