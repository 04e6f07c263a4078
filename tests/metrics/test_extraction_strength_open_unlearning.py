"""The standard framework's extraction strength."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from expunge.facts.rows import Row
from expunge.metrics.extraction_strength_open_unlearning import ExtractionStrengthOpenUnlearning


def test_floor_is_1_over_length(scores: Callable[..., Any], evidence: Callable[..., Any]) -> None:
    """Fails if the peer's floor is mended under its own name: its tables could not be compared with."""
    rows = [Row(id=i, fields={"answer": "x"}) for i in "ab"]
    passed = scores(
        {("a", "answer"): [-1.0] * 5, ("b", "answer"): [-1.0] * 5},
        {("a", "answer"): [1, 1, 1, 1, 0], ("b", "answer"): [1, 0, 0, 0, 0]},
    )
    found = ExtractionStrengthOpenUnlearning().run(evidence({"forget": rows}, scores={"forget": passed}))
    assert found["forget"].per_example == (0.25, 0.75)
