"""Member scores against plain loops and dense tables; higher is always more likely a member."""

from __future__ import annotations

import time
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from expunge.facts.errors import InputError
from expunge.statistics import member
from expunge.statistics.auc import auc
from expunge.statistics.position_scores import PositionScores


def random_scores(seed: int = 0, answers: int = 30) -> PositionScores:
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, 40, answers)
    total = int(lengths.sum())
    return PositionScores(
        keys=tuple((str(i), "answer") for i in range(answers)),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        log_prob=-generator.exponential(1, total),
        mean=-generator.exponential(2, total),
        variance=np.where(generator.random(total) < 0.2, 0.0, generator.exponential(1, total)),
        rank=np.zeros(total, np.int64),
        is_end=np.zeros(total, bool),
    )


def test_likelihood_scores_equal_a_plain_loop() -> None:
    """Fails if k counts padding, ceil stands for floor, fewer than one token is kept, or the variance guard is left out."""
    scores = random_scores()
    texts = [f"text {i} " * (i + 1) for i in range(30)]
    pieces = [scores.positions(i) for i in range(30)]
    for k in (0.2, 0.4, 1.0):
        plain, plus = [], []
        for piece in pieces:
            logs = scores.log_prob[piece]
            keep = max(1, int(len(logs) * k))
            plain.append(sorted(logs)[:keep])
            z = [
                (v - m) / max(s, 1e-6) ** 0.5
                for v, m, s in zip(logs, scores.mean[piece], scores.variance[piece], strict=True)
            ]
            plus.append(sorted(z)[:keep])
        assert member.min_k(scores, k=k) == pytest.approx([sum(v) / len(v) for v in plain], rel=1e-12)
        assert member.min_k_plus_plus(scores, k=k) == pytest.approx([sum(v) / len(v) for v in plus], rel=1e-12)
    means = [scores.log_prob[piece].mean() for piece in pieces]
    assert member.loss(scores) == pytest.approx(means, rel=1e-12)
    by_zlib = [mean / len(zlib.compress(text.encode("utf-8"))) for mean, text in zip(means, texts, strict=True)]
    assert member.zlib(scores, texts) == pytest.approx(by_zlib, rel=1e-12)
    other = random_scores()
    assert member.reference(scores, other) == pytest.approx([0.0] * 30)


def test_every_row_is_scored() -> None:
    """A peer's script keeps the first 50 rows only.  Fails if rows after the 50th are dropped."""
    assert len(member.min_k(random_scores(answers=120))) == 120


def test_a_short_answer_is_not_diluted_by_a_long_one() -> None:
    """Padding in means, a peers' defect.  Fails if the mean of a 1-token answer divides by the longest length."""
    scores = PositionScores(
        keys=(("a", "x"), ("b", "x")),
        offsets=np.array([0, 1, 11]),
        log_prob=np.array([-2.0] + [-1.0] * 10),
        mean=np.zeros(11),
        variance=np.ones(11),
        rank=np.zeros(11, np.int64),
        is_end=np.zeros(11, bool),
    )
    assert member.loss(scores).tolist() == [-2.0, -1.0]
    assert member.min_k(scores).tolist() == [-2.0, -1.0]


def test_all_scores_rise_with_membership() -> None:
    """Fails if any score keeps its source's sign (a loss, a DC-PDD minus): members here have the higher likelihood."""
    generator = np.random.default_rng(1)

    def likely(shift: float) -> PositionScores:
        total = 100 * 20
        return PositionScores(
            keys=tuple((str(i), "answer") for i in range(100)),
            offsets=np.arange(0, total + 1, 20),
            log_prob=-generator.exponential(1, total) * shift,
            mean=np.full(total, -2.0),
            variance=np.ones(total),
            rank=np.zeros(total, np.int64),
            is_end=np.zeros(total, bool),
        )

    members, others = likely(0.5), likely(1.0)
    texts = ["the same words for all"] * 100
    for score in (member.loss, member.min_k, member.min_k_plus_plus, lambda s: member.zlib(s, texts)):
        assert auc(score(members), score(others)) > 0.95


def test_logit_by_hand() -> None:
    """Fails if 1 - p is lost to rounding at small p, or p = 1 gives infinity."""
    assert member.logit([np.log(0.5), np.log(0.8)]) == pytest.approx([0.0, np.log(4)])
    assert member.logit([-1e-20, -800.0]) == pytest.approx([24 * np.log(2), -800.0])
    with pytest.raises(InputError, match="positive"):
        member.logit([0.1])


def shadows() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(2)
    trained_on = generator.random((80, 12)) < 0.5
    table = generator.normal(trained_on * 2.0, 1 + np.arange(12) / 12)
    return generator.normal(1, 1, 12), table, trained_on


@pytest.mark.parametrize("per_example_from", [2, 64])
def test_lira_equals_scipy_example_by_example(per_example_from: int) -> None:
    """Fails if in and out are swapped, variance stands for deviation, or few shadows do not share one variance."""
    phi, table, trained_on = shadows()
    sides = {}
    for name, chosen in (("in", trained_on), ("out", ~trained_on)):
        columns = [table[chosen[:, i], i] for i in range(12)]
        pooled = sum(((c - c.mean()) ** 2).sum() for c in columns) / sum(len(c) - 1 for c in columns)
        own = per_example_from == 2
        sides[name] = [stats.norm(c.mean(), c.std(ddof=1) if own else pooled**0.5) for c in columns]
    expected = [sides["in"][i].logpdf(phi[i]) - sides["out"][i].logpdf(phi[i]) for i in range(12)]
    assert member.lira(phi, table, trained_on, per_example_from=per_example_from) == pytest.approx(expected, rel=1e-9)


def test_offline_lira_and_u_lira_equal_scipy() -> None:
    """Fails if the offline tail is the lower one, its sign is turned, or U-LiRA's numerator is the retrained side."""
    phi, table, _ = shadows()
    mean, deviation = table.mean(0), table.std(0, ddof=1)
    found = member.lira_offline(phi, table, per_example_from=64)
    assert found == pytest.approx(-stats.norm.logsf(phi, mean, deviation), rel=1e-9)
    other = table + 1.5
    ratio = stats.norm.logpdf(phi, other.mean(0), deviation) - stats.norm.logpdf(phi, mean, deviation)
    assert member.u_lira(phi, other, table, per_example_from=64) == pytest.approx(ratio, rel=1e-9)


def test_rows_sure_to_the_last_digit_of_single_precision_lie_beside_their_neighbours() -> None:
    """Fails if 1 - p is kept far below what a float holds: the first float below p = 1 has phi 15.9, and p = 1 would have 27.6."""
    last, sure = member.logit([-(2.0**-23), 0.0])
    assert last == pytest.approx(23 * np.log(2), abs=1e-6)
    assert sure == pytest.approx(24 * np.log(2), abs=1e-6)


def test_offline_lira_tells_sure_rows_apart() -> None:
    """Fails if the score is 1 - Pr: 9 and 12 deviations above the mean are both 1 in floats, and few false positives cannot be had."""
    found = member.lira_offline([9.0, 12.0, 40.0], np.array([[-1.0] * 3, [0.0] * 3, [1.0] * 3]))
    assert found == pytest.approx(-stats.norm.logsf([9.0, 12.0, 40.0]), rel=1e-9)
    assert found[0] < found[1] < found[2]


def test_lira_refuses_shadows_without_spread() -> None:
    """Fails if an example without a shadow of one kind gets a made-up Gaussian."""
    phi, table, trained_on = shadows()
    with pytest.raises(InputError, match="no shadow model of one kind"):
        member.lira(phi, table, np.ones_like(trained_on))
    with pytest.raises(InputError, match="agree to the last digit"):
        member.lira_offline(phi, np.ones((80, 12)))


def dense_rmia(ratio: np.ndarray, population: np.ndarray, gamma: float) -> np.ndarray:
    return (ratio[:, None] / population[None, :] > gamma).mean(1)


@given(
    st.lists(st.integers(0, 12), min_size=1, max_size=8),
    st.lists(st.integers(1, 12), min_size=1, max_size=8),
    st.sampled_from([0.5, 1.0, 2.0]),
)
def test_rmia_by_sorting_equals_the_dense_table(x: list[int], z: list[int], gamma: float) -> None:
    """Fails if ties count (>= for >), or the share divides by anything but Z. Small integers make ties common."""
    of_x, of_z = np.array(x, float), np.array(z, float)
    assert member.rmia(of_x, of_z, gamma=gamma).tolist() == dense_rmia(of_x, of_z, gamma).tolist()


def test_rmia_is_fast_and_exact_at_size() -> None:
    """Fails if the N x Z table comes back: 20,000 x 10,000 takes seconds; sorting takes milliseconds."""
    generator = np.random.default_rng(3)
    of_x, of_z = generator.lognormal(size=20_000), generator.lognormal(size=10_000)
    started = time.process_time()
    found = member.rmia(of_x, of_z, gamma=2.0)
    assert time.process_time() - started < 0.1
    assert found[:200].tolist() == dense_rmia(of_x[:200], of_z, 2.0).tolist()


def test_online_marginal_by_hand() -> None:
    """Fails if it is the mean over all models: three of four were trained on the first row, (0.8 + 0.2) / 2 and not 0.65."""
    p = np.array([[0.9, 0.5], [0.8, 0.1], [0.7, 0.3], [0.2, 0.6]])
    inside = np.array([[True, False], [True, False], [True, True], [False, True]])
    assert member.online_marginal(p, inside).tolist() == pytest.approx([0.5, 0.375])
    for known in (np.ones_like(inside), np.zeros_like(inside)):
        with pytest.raises(InputError, match="by all or by none"):
            member.online_marginal(p, known)
    with pytest.raises(InputError, match="memberships"):
        member.online_marginal(p, inside[:3])


def test_offline_marginal_by_hand() -> None:
    """Fails if a and 1 - a are swapped: p_out = 0.5, a = 0.3 gives (1.3 * 0.5 + 0.7) / 2 = 0.675."""
    assert member.offline_marginal([0.5]).tolist() == pytest.approx([0.675])
