"""Reading evidence row by row."""

from __future__ import annotations

import numpy as np
import pytest

from expunge.contract.evidence import Evidence
from expunge.engine.readings import named_answers, own_scores, rouges, said
from expunge.facts.errors import InputError, UndeclaredRead
from expunge.facts.rows import Row, Rows
from expunge.statistics.position_scores import PositionScores

ROWS = Rows((Row(id="a", fields={"answer": "one two"}), Row(id="b", fields={"answer": "three"})))
KEYS = (("a", "answer"), ("a", "perturbed_answer/0"), ("b", "answer"), ("b", "perturbed_answer/0"))
SCORES = PositionScores(
    keys=KEYS,
    offsets=np.array([0, 2, 3, 4, 6]),
    log_prob=np.array([-1.0, -3.0, -4.0, -5.0, -6.0, -8.0]),
    mean=np.zeros(6),
    variance=np.ones(6),
    rank=np.zeros(6, np.int64),
    is_end=np.zeros(6, bool),
)
EVIDENCE = Evidence(
    name="m",
    role="x",
    modality="text",
    rows={"forget": ROWS},
    scores={"forget": SCORES},
    generations={"forget": ["one", ""]},
)


def test_each_answer_goes_to_its_row_under_its_name() -> None:
    """Fails if wrong answers get among the own ones, or means mix answers."""
    assert own_scores(EVIDENCE, "forget").mean_log_prob().tolist() == [-2.0, -5.0]
    answers = named_answers(EVIDENCE, "forget")
    assert answers.own.tolist() == answers.paraphrased.tolist() == [-2.0, -5.0]
    assert [one.tolist() for one in answers.wrong] == [[-4.0], [-7.0]]


def test_what_was_said() -> None:
    """Fails if an empty generation is skipped, or a split without generations reads as silence."""
    assert said(EVIDENCE, "forget") == ["one", ""]
    assert [one.recall for one in rouges(EVIDENCE, "forget")] == [0.5, 0.0]
    with pytest.raises(InputError, match="nothing was generated for 'retain'"):
        said(Evidence(name="m", role="x", modality="text", rows={"retain": ROWS}), "retain")
    with pytest.raises(UndeclaredRead):
        own_scores(EVIDENCE, "holdout")
