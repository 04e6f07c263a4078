"""Evidence made by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from expunge.contract.evidence import Evidence
from expunge.facts.rows import Row, Rows
from expunge.statistics.position_scores import PositionScores

Made = Callable[..., Evidence]


def make_scores(
    answers: Mapping[tuple[str, str], Sequence[float]],
    ranks: Mapping[tuple[str, str], Sequence[int]] | None = None,
    tops: Sequence[float] | None = None,
    ends: bool = True,
) -> PositionScores:
    """One pass from log-probabilities an answer; the last position of each ends the sequence."""
    lengths = [len(values) for values in answers.values()]
    n = sum(lengths)
    is_end = np.zeros(n, bool)
    if ends:
        is_end[np.cumsum(lengths) - 1] = True
    flat = [rank for key, values in answers.items() for rank in (ranks or {}).get(key, [0] * len(values))]
    return PositionScores(
        keys=tuple(answers),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        log_prob=np.array([value for values in answers.values() for value in values], np.float64),
        mean=np.full(n, -2.0),
        variance=np.ones(n),
        rank=np.array(flat, np.int64),
        is_end=is_end,
        top=None if tops is None else np.array(tops),
    )


def make_evidence(
    rows: Mapping[str, Sequence[Row]], *, name: str = "unlearned", role: str = "unlearned", **given: Any
) -> Evidence:
    """Evidence of a text model over rows by split."""
    return Evidence(
        name=name,
        role=role,
        modality=given.pop("modality", "text"),
        rows={split: Rows(tuple(items), split) for split, items in rows.items()},
        **given,
    )


@pytest.fixture
def scores() -> Callable[..., PositionScores]:
    return make_scores


@pytest.fixture
def evidence() -> Made:
    return make_evidence
