"""Evidence made by hand, and that of the text problem's four models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from text_models import Verified, refusing, verified_of

from expunge.contract.evidence import Evidence
from expunge.contract.model import Model
from expunge.facts.rows import Row, Rows
from expunge.statistics.position_scores import PositionScores
from expunge.testbeds.problem import Problem


def make_scores(answers: Mapping[tuple[str, str], Sequence[float]], **columns: Any) -> PositionScores:
    """One pass from log-probabilities an answer; the last position of each ends the sequence."""
    lengths = [len(values) for values in answers.values()]
    n = sum(lengths)
    is_end = np.zeros(n, bool)
    is_end[np.cumsum(lengths) - 1] = True
    given = {"mean": np.full(n, -2.0), "variance": np.ones(n), "rank": np.zeros(n, np.int64), "is_end": is_end}
    return PositionScores(
        keys=tuple(answers),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        log_prob=np.array([value for values in answers.values() for value in values], np.float64),
        **{**given, **columns},
    )


def make_evidence(
    losses: Mapping[str, Sequence[Sequence[float]]], *, name: str = "unlearned", role: str = "unlearned", **given: Any
) -> Evidence:
    """Evidence of a text model with log-probabilities a row of each split; rows are `split-0`, `split-1`..."""
    rows = {
        split: Rows(tuple(Row(id=f"{split}-{i}", fields={"answer": "a b"}) for i in range(len(values))), split)
        for split, values in losses.items()
    }
    passed = {
        split: make_scores({(row.id, "answer"): value for row, value in zip(rows[split], values, strict=True)})
        for split, values in losses.items()
    }
    return Evidence(name=name, role=role, modality="text", rows=given.pop("rows", rows), **{"scores": passed, **given})


@pytest.fixture
def evidence() -> Callable[..., Evidence]:
    return make_evidence


@pytest.fixture
def scores() -> Callable[..., PositionScores]:
    return make_scores


@pytest.fixture(scope="session")
def verified(text_problem: Problem) -> Verified:
    return verified_of(text_problem)


@pytest.fixture(scope="session")
def hidden(text_problem: Problem) -> Model:
    """The target taught to refuse the forget questions: the knowledge is hidden, not gone."""
    return refusing(text_problem)
