"""LUME's formulas by hand."""

from __future__ import annotations

import numpy as np
import pytest

from expunge.facts.errors import InputError
from expunge.facts.rows import Row, Rows
from expunge.statistics.auc import auc
from expunge.statistics.lume import (
    exact_match,
    membership_interval,
    membership_score,
    of_task,
    parts_of,
    resampled_aucs,
    row_values,
    tasks_of,
)

KINDS = [("Task2", "completion"), ("Task1", "question"), ("Task2", "question"), ("Task1", "completion")]
ROWS = Rows(
    tuple(
        Row(id=str(i), fields={"subtask": task, "kind": kind, "answer": "he walked home"})
        for i, (task, kind) in enumerate(KINDS)
    )
)


def test_rows_of_a_task_and_a_kind() -> None:
    """Fails if a kind or a task is mixed up, or rows of other data (without a task) count as of one."""
    assert tasks_of(ROWS) == ["Task1", "Task2"]
    assert (of_task(ROWS, "question"), of_task(ROWS, "completion", "Task2")) == ([1, 2], [0])
    assert parts_of(ROWS, "completion") == {"": [0, 3], "/Task1": [3], "/Task2": [0]}
    assert parts_of([Row(id="x", fields={"kind": "question"})], "question") == {"": []}


def test_exact_match() -> None:
    """Fails if case or outer spaces count, or a full stop, or more words, do not."""
    assert [exact_match(" Roz", said) for said in ("roz ", "ROZ", "Roz.", "It is Roz", "")] == [1, 1, 0, 0, 0]


def test_recall_for_completions_and_exact_match_for_questions() -> None:
    """Completion: 2 of 3 stemmed words of the truth, 5 said.  Fails if f1 or precision is taken, or words are not stemmed."""
    said = ["he was walking the dog", "He walked home", "he walked", "home"]
    assert row_values(ROWS, said, [0, 1, 2, 3]).tolist() == pytest.approx([2 / 3, 1.0, 0.0, 1 / 3])


def test_membership_is_two_sided() -> None:
    """Fails if an AUC below 1/2 counts as better than 1/2, or an interval around 1/2 does not reach 1."""
    assert membership_score(np.array([0.5, 1.0, 0.0, 0.75, 0.25])).tolist() == pytest.approx([1, 0, 0, 0.5, 0.5])
    assert membership_interval(0.4, 0.7) == pytest.approx((0.6, 1.0))
    assert membership_interval(0.6, 0.9) == pytest.approx((0.2, 0.8))
    assert membership_interval(0.8, 1.2) == pytest.approx((0.0, 0.4))


def test_resampled_aucs_against_a_plain_bootstrap() -> None:
    """Fails if sides are drawn together, rows in place of documents, or ties do not count one half."""
    draw = np.random.default_rng(0)
    members, others = draw.normal(0.6, 1, 24), draw.normal(0, 1, 30).round(1)
    groups, other_groups = [str(i // 2) for i in range(24)], [str(i) for i in range(30)]
    found = resampled_aucs(members, others, groups, other_groups, draws=4000)
    plain = []
    for _ in range(4000):
        pairs = draw.integers(0, 12, 12)
        mine = members[np.concatenate([2 * pairs, 2 * pairs + 1])]
        plain.append(auc(mine, others[draw.integers(0, 30, 30)]))
    assert found.mean() == pytest.approx(auc(members, others), abs=0.01)
    assert found.std() == pytest.approx(float(np.std(plain)), rel=0.08)
    same = np.arange(12.0)
    sides = [auc(same[draw.integers(0, 12, 12)], same[draw.integers(0, 12, 12)]) for _ in range(4000)]
    drawn = resampled_aucs(same, same, list("abcdefghijkl"), list("mnopqrstuvwx"), draws=4000)
    assert drawn.std() == pytest.approx(float(np.std(sides)), rel=0.08)
    assert np.unique(resampled_aucs([1.0, 1.0], [1.0, 1.0], ["a", "b"], ["c", "d"])).tolist() == [0.5]
    with pytest.raises(InputError, match="for 2 and 1 groups"):
        resampled_aucs([1.0, 2.0], [1.0, 0.0], ["a", "b"], ["c"])
