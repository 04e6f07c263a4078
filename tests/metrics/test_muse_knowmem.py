"""MUSE's knowledge memory by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import protocols
import pytest

from expunge.facts.rows import Row
from expunge.metrics.muse_knowmem import MuseKnowmem

WRONG = ("Smith", "Jones", "Grey")
ROWS = [
    Row(id=i, fields={"answer": "Father Brown", "kind": "question", "perturbed_answers": WRONG})
    for i in ("a", "b", "c", "d")
]
PASSAGE = Row(id="p", fields={"answer": "one two three", "kind": "passage"})
SAID = ["Father Brown", "Brown", "Father Brown\nQuestion: Who is Brown\nAnswer: Brown", "Smith"]


def logs(own: dict[str, float], wrong: tuple[float, ...] = (-3.0, -2.0, -4.0)) -> dict[tuple[str, str], list[float]]:
    """One scored position an answer."""
    found = {}
    for row, value in own.items():
        found[row, "answer"] = [value]
        found |= {(row, f"perturbed_answer/{i}"): [log] for i, log in enumerate(wrong)}
    return found


def test_rouge_and_choice(evidence: Callable[..., Any], scores: Callable[..., Any]) -> None:
    """ROUGE 1, 2/3, 1, 0; chosen where the own log p is above -2: two of four.

    Fails if text behind the next question counts, a tie is a choice, or the mean of the candidates is compared with.
    """
    passed = scores(logs({"a": -1.0, "b": -1.9, "c": -2.0, "d": -2.9}))
    found = MuseKnowmem().run(evidence({"test": ROWS}, scores={"test": passed}, generations={"test": SAID}))
    assert found["test"].per_example == pytest.approx((1.0, 2 / 3, 1.0, 0.0))
    assert found["test/choice"].per_example == (1.0, 1.0, 0.0, 0.0)
    assert (found["test"].ideal, found["test/choice"].ideal) == ("higher", "higher")


def test_questions_among_passages(evidence: Callable[..., Any]) -> None:
    """Fails if a passage counts as a question, or choices are asked where some rows have no candidates."""
    given = {"forget": [PASSAGE, *ROWS[:2]], "holdout": [PASSAGE]}
    said = {"forget": ["one two three", *SAID[:2]], "holdout": ["x"]}
    found = MuseKnowmem().run(evidence(given, generations=said))
    assert set(found) == {"forget"}
    assert found["forget"].value == pytest.approx((1 + 2 / 3) / 2)
    assert (found["forget"].n, found["forget"].per_example, found["forget"].ideal) == (2, None, "as_control")


def test_a_forget_set_without_questions_is_unscored(evidence: Callable[..., Any]) -> None:
    """Fails if no question gives 0 or nothing at all; forgotten knowledge is judged by the control."""
    found = MuseKnowmem().run(evidence({"forget": [PASSAGE]}, generations={"forget": ["x"]}))
    assert found["forget"].unscored == "no forget row is a question (its kind)"
    left = MuseKnowmem().run(evidence({"forget/knowledge": ROWS}, generations={"forget/knowledge": SAID}))
    assert left["forget/knowledge"].ideal == "as_control"
    assert left["forget/knowledge/choice"].unscored is not None


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_claim_it_falls_on_forget_questions_and_less_on_others() -> None:
    """Three draws of books. On forget questions it falls by .25 [.04, .46] after ascent, .85 and .92 after gradient difference and NPO; on retain
    questions by .06 [-.21, .33], and not at all after the two others: that part of the claim does not hold here. Retrained models keep .97.

    Fails if passages count, or the two sets of questions change places.
    """
    found = protocols.muse()
    for method in ("ascent", "grad_diff", "npo"):
        assert found.over(method, "muse_knowmem:forget/knowledge", less="target").high < 0
        assert found.over(method, "muse_knowmem:test", less="target").estimate > -0.15
    assert found.over("retrained", "muse_knowmem:test").low > 0.7
