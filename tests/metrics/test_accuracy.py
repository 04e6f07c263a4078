"""Accuracy of a classifier."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from expunge.facts.rows import Row
from expunge.metrics.accuracy import Accuracy


def test_share_of_right_labels(scores: Callable[..., Any], evidence: Callable[..., Any]) -> None:
    """Fails if any rank but the first counts as right, or a split without scores gives a number."""
    rows = [Row(id=str(i), fields={"label": i}) for i in range(4)]
    keys = [(row.id, "label") for row in rows]
    passed = scores({key: [-1.0] for key in keys}, dict(zip(keys, [[0], [1], [0], [2]], strict=True)), ends=False)
    given = evidence({"test": rows, "forget": rows}, modality="vision", scores={"test": passed})
    found = Accuracy().run(given)
    assert found["test"].per_example == (1.0, 0.0, 1.0, 0.0)
    assert found["forget"].unscored == "no scores of 'forget' were computed"
