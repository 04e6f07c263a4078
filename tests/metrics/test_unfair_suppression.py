"""Unfair suppression by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from classifiers import over
from text_models import five_of

from expunge.facts.rows import Row
from expunge.metrics.unfair_suppression import UnfairSuppression

ROWS = [
    Row(id=value, fields={"answer": f"It is {value}.", "value": value})
    for value in ("Rome", "Oslo", "Bonn", "Kyiv", "Riga")
]
KNOWN = ["Rome", "Oslo", "Bonn", "Kyiv", "Paris"]
NOW = ["Rome.", "I don't know.", "Lima", "Kyiv", "Riga"]


def test_rows_lost_by_hand(evidence: Callable[..., Any]) -> None:
    """The target knows four of five; one of these is declined, one answered wrongly: 2/4, 1/4, 1/4. The fifth, now right, makes good for none.

    Fails if shares are of all rows, if a gain is set off against a loss, or forget and holdout rows are judged.
    """
    target = evidence({"retain": ROWS, "forget": ROWS}, generations={"retain": KNOWN, "forget": KNOWN})
    given = {"retain": ROWS, "forget": ROWS, "forget/facts": ROWS}
    found = UnfairSuppression().run(
        evidence(given, generations={"retain": NOW, "forget": NOW, "forget/facts": NOW}, target=target)
    )
    assert {name: score.value for name, score in found.items()} == {
        "retain": 0.5,
        "retain/declined": 0.25,
        "retain/other": 0.25,
    }
    assert (found["retain"].n, found["retain"].ideal, found["retain"].per_example) == (4, "lower", None)
    own = UnfairSuppression().run(evidence({"retain": ROWS}, generations={"retain": KNOWN}, target=target))
    assert own["retain"].value == 0


def test_right_is_enough_words_where_there_is_no_value(evidence: Callable[..., Any]) -> None:
    """Recall 2 of 4 words is right at .5 and lost at .8. Fails if the threshold is ignored."""
    rows = [Row(id="a", fields={"answer": "red green blue grey"})]
    target = evidence({"test": rows}, generations={"test": ["red green blue grey"]})
    given = evidence({"test": rows}, generations={"test": ["red green"]}, target=target)
    assert UnfairSuppression().run(given)["test"].value == 1
    assert UnfairSuppression(threshold=0.5).run(given)["test"].value == 0


def test_nothing_known_nothing_lost(evidence: Callable[..., Any]) -> None:
    """Fails if a model without a target, or one that knew nothing, is said to have lost 0."""
    given = {"generations": {"test": NOW}}
    assert "the target" in (UnfairSuppression().run(evidence({"test": ROWS}, **given))["test"].unscored or "")
    blank = evidence({"test": ROWS}, generations={"test": ["?"] * 5})
    found = UnfairSuppression().run(evidence({"test": ROWS}, target=blank, **given))["test"]
    assert found.unscored == "the target answers none of 5 test rows"
    with pytest.raises(KeyError):
        UnfairSuppression().run(evidence({"test": ROWS}, target=blank))["test"]


@pytest.mark.slow
def test_claim_a_taught_refusal_loses_rows_beside_the_forgotten_ones() -> None:
    """Five draws of people: none of the retain rows that the target answers is lost to the target, .998 [.994, 1.00] after
    a taught refusal (.91 [.83, .98] declined), .002 in retrained models, and after gradient difference none is declined.

    Fails if rows that the target never knew count, or a refusal is no loss.
    """
    lost = five_of(UnfairSuppression(), "retain")
    declined = five_of(UnfairSuppression(), "retain/declined")
    assert over(lost, "target").high == 0
    assert over(lost, "refusing").low > 0.5
    assert over(declined, "refusing").low > 0.5
    assert over(lost, "retrained").high < 0.05
    assert over(declined, "grad_diff").high < 0.01
