"""A score of rows: its mean, interval and reasons."""

from __future__ import annotations

import numpy as np
import pytest

from expunge.facts.errors import InputError
from expunge.statistics.intervals import bootstrap_mean
from expunge.statistics.summary import clusters_of, ideal_for, mean_score, percentiles, resampled_means

VALUES = np.array([0.0, 0.0, 1.0, 1.0] * 10)
AUTHORS = [f"author-{i // 4}" for i in range(40)]
ALTERNATING = [f"author-{i % 20}" for i in range(40)]


def test_mean_interval_and_rows() -> None:
    """Fails if the interval ignores groups: every author here has the same mean, so that resampling authors moves nothing."""
    score = mean_score("m", lambda: VALUES, AUTHORS, ideal="higher")
    assert (score.value, score.n, score.per_example) == (0.5, 40, tuple(VALUES))
    assert (score.low, score.high) == (0.5, 0.5)
    spread = mean_score("m", lambda: VALUES, ALTERNATING, ideal="higher")
    expected = bootstrap_mean(VALUES, [i % 20 for i in range(40)])
    assert (spread.low, spread.high) == (expected.low, expected.high)
    assert spread.low is not None
    assert spread.low < 0.4


def test_few_groups_leave_rows_as_units() -> None:
    """Fails if nine groups are resampled: they cannot tell how groups differ."""
    assert clusters_of([str(i % 9) for i in range(40)]) is None
    assert clusters_of([str(i) for i in range(40)]) is None
    clusters = clusters_of(ALTERNATING)
    assert clusters is not None
    assert len(set(clusters.tolist())) == 20


def test_nan_never_becomes_0() -> None:
    """Fails if a row without a finite number is dropped from the mean or counted as 0 (a peer's defect)."""
    score = mean_score("m", lambda: np.array([1.0, np.nan, np.inf]), ["a", "b", "c"], ideal="higher")
    assert score.value is None
    assert score.unscored == "2 of 3 rows have no finite number"


def test_reasons() -> None:
    """Fails if a computation that refuses, or an empty split, gives a number."""

    def refuse() -> np.ndarray:
        raise InputError("rows carry no perturbed answers")

    assert mean_score("m", refuse, ["a"], ideal="higher").unscored == "rows carry no perturbed answers"
    assert mean_score("m", lambda: np.zeros(0), [], ideal="higher").unscored == "there are no rows"
    one = mean_score("m", lambda: np.array([0.25]), ["a"], ideal="higher", keep=False)
    assert (one.value, one.low, one.high, one.per_example) == (0.25, None, None, None)


def test_resampled_means_agree_with_their_theory() -> None:
    """Fails if columns are drawn apart (their difference is constant here), or sizes of groups are ignored."""
    table = np.stack([VALUES, VALUES + 2])
    draws = resampled_means(table, ALTERNATING, draws=4000, seed=1)
    assert draws[:, 1] - draws[:, 0] == pytest.approx(2.0)
    assert draws[:, 0].mean() == pytest.approx(0.5, abs=0.01)
    groups = VALUES.reshape(2, 20).mean(0)
    assert draws[:, 0].std() == pytest.approx(groups.std() / np.sqrt(20), rel=0.05)
    uneven = ["big"] * 30 + [f"small-{i}" for i in range(10)]
    one = resampled_means(np.array([[1.0] * 30 + [0.0] * 10]), uneven, draws=2000)
    assert one[:, 0].max() <= 1.0
    assert one[:, 0].mean() > 0.5


def test_percentiles_and_ideals() -> None:
    """Fails if the interval is one-sided, or over-forgetting would look good on forget rows."""
    low, high = percentiles(np.arange(1001.0))
    assert (low, high) == pytest.approx((25.0, 975.0))
    assert [ideal_for(split) for split in ("forget", "forget/arithmetic", "holdout", "retain")] == [
        "as_control", "as_control", "as_control", "higher",
    ]  # fmt: skip
    assert ideal_for("test", "lower") == "lower"
