"""LUME's knowledge by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from expunge.facts.rows import Row
from expunge.metrics.lume_knowledge import LumeKnowledge


def row(name: str, task: str, answer: str, kind: str = "question") -> Row:
    return Row(id=name, fields={"subtask": task, "kind": kind, "answer": answer}, group=name[0])


ROWS = [
    row("a0", "Task1", "Wrennie."),
    row("a1", "Task1", "Roz"),
    row("b0", "Task2", "900426645"),
    row("b1", "Task2", "x@me.com"),
    row("c0", "Task2", "a b c", "completion"),
]


def test_exact_match_a_task(evidence: Callable[..., Any]) -> None:
    """One of two and one of two.  Fails if a full stop less is forgiven, case is not, a completion counts, or part of a number does."""
    said = {"retain": ["Wrennie", "ROZ ", "90042664", "x@me.com", "a b c"]}
    found = LumeKnowledge().run(evidence({"retain": ROWS, "forget": ROWS[:1]}, generations={**said, "forget": ["q"]}))
    scored = {name: score.value for name, score in found.items() if name.startswith("retain")}
    assert scored == pytest.approx({"retain": 0.5, "retain/Task1": 0.5, "retain/Task2": 0.5})
    assert (found["retain"].n, found["retain"].per_example, found["forget"].per_example) == (4, None, (0.0,))
    assert (found["retain"].ideal, found["forget"].ideal) == ("higher", "as_control")


def test_a_forget_set_without_questions_is_unscored(evidence: Callable[..., Any]) -> None:
    """Fails if no question gives 0, which would read as forgotten."""
    found = LumeKnowledge().run(evidence({"forget": ROWS[4:]}, generations={"forget": ["a b c"]}))
    assert found["forget"].unscored == "no forget row is a question (its kind)"
    assert list(found) == ["forget"]
