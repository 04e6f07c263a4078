"""Value recall of generations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from expunge.facts.rows import Row
from expunge.metrics.value_recall import ValueRecall

ROWS = [Row(id=str(i), fields={"answer": f"It is {value}.", "value": value}) for i, value in enumerate(["12", "red"])]


def test_share_with_the_value(evidence: Callable[..., Any]) -> None:
    """Fails if 12 is found in 1912, or ROUGE stands for the value."""
    found = ValueRecall().run(evidence({"forget": ROWS}, generations={"forget": ["It is 1912.", "RED it is"]}))
    assert found["forget"].per_example == (0.0, 1.0)


def test_rows_without_a_value_are_left_out_and_said(evidence: Callable[..., Any]) -> None:
    """Fails if a row without a value counts as 0, or numbers a row are kept that do not stand for every row."""
    rows = [*ROWS, Row(id="bare", fields={"answer": "x"})]
    said = {"forget": ["12", "red", "x"]}
    found = ValueRecall().run(evidence({"forget": rows}, generations=said))
    assert (found["forget"].value, found["forget"].n, found["forget"].per_example) == (1.0, 2, None)
    bare = ValueRecall().run(evidence({"forget": rows[2:], "test": rows[2:]}, generations={"forget": ["x"]}))
    assert list(bare) == ["forget"]
    assert bare["forget"].unscored is not None
