"""RESTOR's recovery by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import protocols
import pytest

from expunge.facts.rows import Row
from expunge.metrics.restor_recovery import RestorRecovery
from expunge.pipeline.battery import choose

ROWS = [
    Row(
        id=name,
        fields={"answer": f"born in {true}", "value": true, "false_value": false, "kind": "fact",
                "perturbed_answers": (f"born in {false}", "born in Rome")},
    )
    for name, true, false in (("a", "York", "Bath"), ("b", "Deal", "Hull"), ("c", "Ryde", "Hove"), ("d", "Wick", "Ayr"))
]  # fmt: skip
CLEAN = ["in York", "in Deal", "in Ryde", "nowhere"]
FALSE = ["in Bath", "in Hull", "in Ryde", "nowhere"]


def logs(own: dict[str, float]) -> dict[tuple[str, str], list[float]]:
    """One scored position an answer; wrong ones at -2 and -3."""
    found = {}
    for row, value in own.items():
        found |= {(row, "answer"): [value], (row, "perturbed_answer/0"): [-2.0], (row, "perturbed_answer/1"): [-3.0]}
    return found


def test_shares_by_hand(evidence: Callable[..., Any], scores: Callable[..., Any]) -> None:
    """Said: 1, 0, 1, 0; chosen where the own log p is above -2: one of four; false ones: b alone.

    Fails if a tie is chosen, the false value is looked for in place of the true one, or documents are asked for facts.
    """
    passed = scores(logs({"a": -1.0, "b": -2.5, "c": -2.0, "d": -4.0}))
    document = Row(id="x", fields={"answer": "York", "kind": "document"})
    given = {"forget": [document], "forget/facts": ROWS, "test": [row.replace(false_value=None) for row in ROWS]}
    spoken = {"forget": ["York"], "forget/facts": ["in York", "in Hull", "Ryde", "?"], "test": CLEAN}
    found = RestorRecovery().run(evidence(given, scores={"forget/facts": passed, "test": passed}, generations=spoken))
    assert set(found) == {
        "forget/facts",
        "forget/facts/choice",
        "forget/facts/false",
        "forget/facts/recovered",
        "test",
        "test/choice",
    }
    assert found["forget/facts"].per_example == (1, 0, 1, 0)
    assert found["forget/facts/choice"].per_example == (1, 0, 0, 0)
    assert found["forget/facts/false"].per_example == (0, 1, 0, 0)
    assert found["test"].value == 0.75
    assert (found["forget/facts"].ideal, found["test"].ideal) == ("as_control", "higher")


def test_recovery_is_a_share_of_what_was_lost(evidence: Callable[..., Any]) -> None:
    """Target 1 of 4, retrained 3 of 4 and 3 of 4: with 2 of 4 half came back; untouched none; as retrained all; with 0 of 4 less than none.

    Fails if the loss is taken from one retrained model, from 1, or in the other direction. Eight copies narrow the interval.
    """
    many = [Row(id=f"{row.id}{i}", fields=row.fields) for i in range(8) for row in ROWS]

    def of(said: list[str], **more: Any) -> Any:
        return evidence({"forget/facts": many}, generations={"forget/facts": said * 8}, **more)

    def recovered(said: list[str], **other: Any) -> Any:
        more = {"target": of(FALSE), "retrained": (of(CLEAN), of(CLEAN)), **other}
        return RestorRecovery().run(of(said, **more))["forget/facts/recovered"]

    half = recovered(["in York", "in Hull", "in Ryde", "nowhere"])
    assert half.value == pytest.approx(0.5)
    assert half.low < 0.5 < half.high
    assert recovered(FALSE).value == 0
    assert recovered(CLEAN).value == 1
    assert recovered(["?"] * 4).value == pytest.approx(-0.5)
    uneven = recovered(CLEAN, retrained=(of(CLEAN), of(["in York", "in Deal", "in Ryde", "Wick"])))
    assert uneven.value == pytest.approx(2 / 2.5)
    assert recovered(CLEAN, retrained=(of(FALSE),)).value is None
    assert "no loss to recover" in recovered(CLEAN, retrained=(of(FALSE),)).unscored
    assert recovered(CLEAN, retrained=()).value is None


def test_it_is_run_by_name_alone() -> None:
    """Fails if a metric that is for one protocol fills every page of the full battery."""
    offered = frozenset({"forget", "retained", "retrained"})
    names = {name for name, _ in choose("text", offered, level="full").metrics}
    assert "restor_recovery" not in names
    assert "rouge" in names
    named = choose("text", offered, level="quick", metrics=["restor_recovery"])
    assert [name for name, _ in named.metrics] == ["restor_recovery"]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_claim_neither_ascent_nor_npo_brings_a_true_fact_back() -> None:
    """Half of the claim holds in such a model. Three draws of people: true facts said fall by .93 [.87, .99] from the base model to the
    target, and change by -.03 [-.09, .03] after ascent and -.03 [-.12, .06] after NPO; false ones fall by .45 and .47.

    Fails if what was never lost counts as recovered, or false values as true ones.
    """
    found, read = protocols.restor(), "restor_recovery:forget/facts"
    assert found.over("base", read, less="target").low > 0.3
    assert found.over("retrained", read, less="target").low > 0.3
    for method in ("ascent", "npo"):
        assert found.over(method, read, less="target").estimate < 0.2
        assert found.over(method, f"{read}/false", less="target").high < 0
