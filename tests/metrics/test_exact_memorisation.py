"""Exact memorisation of evidence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from expunge.facts.rows import Row
from expunge.metrics.exact_memorisation import ExactMemorisation


def test_share_of_first_choices(scores: Callable[..., Any], evidence: Callable[..., Any]) -> None:
    """Fails if the end token counts, or an answer's tokens are pooled with another's."""
    rows = [Row(id=i, fields={"answer": "x"}) for i in "ab"]
    passed = scores(
        {("a", "answer"): [-1.0] * 5, ("b", "answer"): [-1.0] * 2},
        {("a", "answer"): [0, 0, 1, 0, 9], ("b", "answer"): [2, 0]},
    )
    found = ExactMemorisation().run(evidence({"retain": rows}, scores={"retain": passed}))
    assert found["retain"].per_example == (0.75, 0.0)
    assert found["retain"].ideal == "higher"
