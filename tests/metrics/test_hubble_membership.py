"""Membership by number of copies, by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import protocols
import pytest

from expunge.facts.rows import Row
from expunge.metrics.hubble_membership import HubbleMembership


def rows(*names: str) -> list[Row]:
    return [Row(id=name, fields={"answer": name}) for name in names]


def test_auc_by_hand(evidence: Callable[..., Any], scores: Callable[..., Any]) -> None:
    """Of 2 x 4 pairs 4 are in order and 1 is a tie: 4.5 / 8; the sixteenfold ones lie above all: 1. Ledger and holdout have no AUC.

    Fails if members and others change places, a tie counts as none, or a split without a number of copies is scored.
    """
    given = {
        "late/x4": rows("a", "b"),
        "late/x16": rows("c", "d"),
        "holdout": rows("p", "q", "r", "s"),
        "ledger": rows("a"),
    }
    logs = {
        "late/x4": {("a", "answer"): [-2.0], ("b", "answer"): [-4.0]},
        "late/x16": {("c", "answer"): [-0.1], ("d", "answer"): [-0.2]},
        "holdout": {("p", "answer"): [-1.0], ("q", "answer"): [-4.0], ("r", "answer"): [-5.0], ("s", "answer"): [-3.0]},
        "ledger": {("a", "answer"): [-2.0]},
    }
    passed = {split: scores(answers) for split, answers in logs.items()}
    found = HubbleMembership().run(evidence(given, scores=passed))
    assert set(found) == {f"late/x{n}/{name}" for n in (4, 16) for name in ("loss", "min_k", "min_k_plus_plus")}
    assert found["late/x4/loss"].value == pytest.approx(4.5 / 8)
    assert found["late/x16/loss"].value == 1
    assert found["late/x4/loss"].low < found["late/x4/loss"].value < found["late/x4/loss"].high
    assert (found["late/x4/loss"].n, found["late/x4/loss"].ideal) == (2, "as_control")


def test_the_lowest_tokens_decide_min_k(evidence: Callable[..., Any], scores: Callable[..., Any]) -> None:
    """One bad token among five: the loss puts the member above, min-20% below. Fails if all three scores are the loss."""
    given = {"early/x1": rows("a", "b"), "holdout": rows("p", "q")}
    passed = {
        "early/x1": scores({(name, "answer"): [0.0, 0.0, 0.0, 0.0, -5.0] for name in "ab"}),
        "holdout": scores({(name, "answer"): [-2.0] * 5 for name in "pq"}),
    }
    found = HubbleMembership().run(evidence(given, scores=passed))
    assert (found["early/x1/loss"].value, found["early/x1/min_k"].value) == (1, 0)


def test_no_holdout_no_value(evidence: Callable[..., Any], scores: Callable[..., Any]) -> None:
    """Fails if an AUC of .5 is invented where nobody is a non-member."""
    passed = {"late/x4": scores({("a", "answer"): [-2.0]})}
    found = HubbleMembership().run(evidence({"late/x4": rows("a")}, scores=passed))
    assert all(score.value is None and score.unscored for score in found.values())


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_claim_scores_rise_with_copies() -> None:
    """Three draws of statements; AUC against those in no copy. One copy .67 [.49, .84] by the
    loss, four .94, 16 and 64 1.00; min-20% .62, .95, 1.00; min-k++ .64, .93, 1.00. Of retrained models .48 to .55.

    Fails if numbers of copies change places, or the members of another phase count.
    """
    found = protocols.hubble()
    for score in ("loss", "min_k", "min_k_plus_plus"):
        values = [found.over("target", f"hubble_membership:late/x{n}/{score}").estimate for n in (1, 4, 16, 64)]
        assert values == sorted(values)
        assert (
            found.over("target", f"hubble_membership:late/x64/{score}", than=f"hubble_membership:late/x1/{score}").low
            > 0
        )
        for n in (1, 4, 16, 64):
            assert 0.2 < found.over("retrained", f"hubble_membership:late/x{n}/{score}").estimate < 0.8
