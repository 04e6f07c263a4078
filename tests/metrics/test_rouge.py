"""ROUGE-L of generations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from expunge.facts.rows import Row
from expunge.metrics.rouge import Rouge

ROWS = [Row(id="a", fields={"answer": "one two three four"}), Row(id="b", fields={"answer": "red"})]


def test_recall_and_f1(evidence: Callable[..., Any]) -> None:
    """Fails if the setting is ignored, or answers and generations change sides."""
    said = evidence({"forget": ROWS}, generations={"forget": ["one three", "red red red"]})
    assert Rouge().run(said)["forget"].per_example == (0.5, 1.0)
    assert Rouge(measure="f1").run(said)["forget"].per_example == pytest.approx((2 * 2 / 6, 2 * 1 / 4))
    with pytest.raises(ValueError, match="recall or f1"):
        Rouge(measure="precision")


def test_what_cannot_be_computed(evidence: Callable[..., Any]) -> None:
    """Fails if a wrong number of generations, or an answer without words, gives a number."""
    short = Rouge().run(evidence({"forget": ROWS}, generations={"forget": ["one"]}))
    assert short["forget"].unscored == "1 generations for 2 forget rows"
    blank = [Row(id="a", fields={"answer": "--"})]
    found = Rouge().run(evidence({"forget": blank}, generations={"forget": ["one"]}))
    assert found["forget"].unscored == "the reference '--' has no word to find"
