"""Membership by loss against compressed length."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import pytest

from expunge.attacks.zlib import Zlib
from expunge.facts.rows import Row, Rows

NO_PROBE: Any = None


def test_divides_by_the_answers_own_compressed_length(evidence: Callable[..., Any], scores: Callable[..., Any]) -> None:
    """Fails if the prompt is compressed too, the total is divided, or the ratio is turned over."""
    texts = ["ab" * 50, "Añ mixed TEXT 123"]
    rows = {
        split: Rows(tuple(Row(id=f"{split}{i}", fields={"prompt": "why", "answer": t}) for i, t in enumerate(texts)))
        for split in ("forget", "holdout")
    }
    passed = {split: scores({(row.id, "answer"): [-1.0, -3.0] for row in rows[split]}) for split in rows}
    found = Zlib().run(evidence({}, rows=rows, scores=passed), NO_PROBE)
    assert found.forget == pytest.approx([-2 / len(zlib.compress(text.encode())) for text in texts])
    assert found.forget[0] == found.holdout[0]
