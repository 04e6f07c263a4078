"""LUME's regurgitation by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from expunge.facts.rows import Row
from expunge.metrics.lume_regurgitation import LumeRegurgitation


def row(name: str, task: str, kind: str, answer: str) -> Row:
    return Row(id=name, fields={"subtask": task, "kind": kind, "answer": answer}, group=name[0])


ROWS = [
    row("a0", "Task1", "completion", "he walked slowly home"),
    row("a1", "Task1", "question", "Brown"),
    row("b0", "Task2", "completion", "red lamp"),
]


def test_recall_a_task(evidence: Callable[..., Any]) -> None:
    """Task1 3 of 4 words (stemmed) with 8 said, Task2 none.  Fails if f1 is taken, questions count, or tasks are pooled."""
    said = {"forget": ["he walking slowly and sure to the hill", "Brown", "green"]}
    found = LumeRegurgitation().run(evidence({"forget": ROWS}, generations=said))
    assert {name: score.value for name, score in found.items()} == pytest.approx(
        {"forget": (0.75 + 0) / 2, "forget/Task1": 0.75, "forget/Task2": 0.0}
    )
    assert [found[name].n for name in found] == [2, 1, 1]
    assert {score.ideal for score in found.values()} == {"as_control"}


def test_per_row_numbers_only_where_they_stand_for_every_row(evidence: Callable[..., Any]) -> None:
    """Fails if numbers of two rows stand for three, or a task's for the split's."""
    both = {"forget": ROWS, "retain": [ROWS[0], ROWS[2]]}
    said = {"forget": ["he", "x", "red"], "retain": ["he walked", "red lamp"]}
    found = LumeRegurgitation().run(evidence(both, generations=said))
    assert found["forget"].per_example is None
    assert found["retain"].per_example == (0.5, 1.0)
    assert found["retain/Task1"].per_example is None
    assert found["retain"].ideal == "higher"


def test_other_data_is_unscored(evidence: Callable[..., Any]) -> None:
    """Fails if a forget set without completions is passed over, or other splits without are answered for."""
    made = {"forget": ROWS[1:2], "test": ROWS[1:2], "plain": [Row(id="x", fields={"answer": "y"})]}
    found = LumeRegurgitation().run(evidence(made, generations={name: ["x"] for name in made}))
    assert list(found) == ["forget"]
    assert found["forget"].unscored == "no forget row is a completion (its kind)"
    silent = LumeRegurgitation().run(evidence({"forget": ROWS}))
    assert silent["forget/Task1"].unscored == "nothing was generated for 'forget'"
