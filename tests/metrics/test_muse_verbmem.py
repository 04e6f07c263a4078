"""MUSE's verbatim memory by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import protocols
import pytest

from expunge.facts.rows import Row
from expunge.metrics.muse_verbmem import MuseVerbmem

ROWS = [
    Row(id="a", fields={"answer": "he walked slowly home", "kind": "passage"}),
    Row(id="b", fields={"answer": "Brown", "kind": "question"}),
    Row(id="c", fields={"answer": "red lamp", "kind": "passage"}),
]


def test_mean_over_passages_only(evidence: Callable[..., Any]) -> None:
    """Passages .75 (3 of 4 words, 4 said) and 0.  Fails if questions count, recall stands in f1's place or words are stemmed."""
    said = evidence({"forget": ROWS}, generations={"forget": ["he walks slowly home", "Brown", "a b c"]})
    score = MuseVerbmem().run(said)["forget"]
    assert score.value == pytest.approx((0.75 + 0.0) / 2)
    assert (score.n, score.per_example, score.ideal) == (2, None, "as_control")
    assert MuseVerbmem(stemming=True).run(said)["forget"].value == pytest.approx((1.0 + 0.0) / 2)
    longer = evidence({"forget": ROWS[2:]}, generations={"forget": ["red lamp on a hill in rain"]})
    assert MuseVerbmem().run(longer)["forget"].per_example == pytest.approx((2 * 2 / 9,))


def test_splits_without_passages(evidence: Callable[..., Any]) -> None:
    """Fails if questions alone give verbatim memory, or a forget set without passages is passed over in silence."""
    said = evidence({"forget": ROWS[1:2], "test": ROWS[1:2]}, generations={"forget": ["Brown"], "test": ["Brown"]})
    found = MuseVerbmem().run(said)
    assert list(found) == ["forget"]
    assert found["forget"].unscored == "no forget row is a passage (its kind)"
    short = evidence({"forget": ROWS}, generations={"forget": ["he"]})
    assert MuseVerbmem().run(short)["forget"].unscored == "1 generations for 3 forget rows"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_claim_it_falls_to_that_of_retrained_models() -> None:
    """Three draws of books. From .92 [.69, 1.16] of the target to .14 after gradient difference and .07 after NPO, where retrained models have
    .03; ascent at its defaults leaves .58.

    Fails if questions count, or prompts are scored with the continuation.
    """
    found, read = protocols.muse(), "muse_verbmem:forget"
    assert found.over("target", read).estimate > 0.8
    for method in ("grad_diff", "npo"):
        assert found.over(method, read, less="target").high < -0.5
        assert found.over(method, read, less="retrained").estimate < 0.15
    assert found.over("ascent", read, less="target").high < 0
