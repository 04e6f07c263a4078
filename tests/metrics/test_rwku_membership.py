"""RWKU's four member scores against a plain computation."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import protocols
import pytest

from expunge.facts.rows import Row
from expunge.metrics.rwku_membership import RwkuMembership

ROWS = [Row(id="a", fields={"answer": "Rome."}), Row(id="b", fields={"answer": "far off, in Oslo"})]
LOGS = {("a", "answer"): [-1.0, -3.0], ("b", "answer"): [-0.5, -2.0, -4.0, -0.1, -0.4, -0.2, -0.3, -0.6, -0.7, -0.2]}


def test_four_scores_of_both_sets(evidence: Callable[..., Any], scores: Callable[..., Any]) -> None:
    """Two tokens: one is the least likely fifth, which RWKU's code has as NaN. Fails on that, on a flipped sign, or a wrong share of tokens."""
    found = RwkuMembership().run(
        evidence(
            {"forget": ROWS, "retain": ROWS[:1]},
            scores={"forget": scores(LOGS), "retain": scores({("a", "answer"): [-1.0, -3.0]})},
        )
    )
    means = [np.mean(values) for values in LOGS.values()]
    lowest = [-3.0, (-4.0 - 2.0) / 2]
    assert found["forget/loss"].value == pytest.approx(np.mean(means))
    sizes = [len(zlib.compress(str(row["answer"]).encode())) for row in ROWS]
    assert found["forget/zlib"].value == pytest.approx(np.mean([m / s for m, s in zip(means, sizes, strict=True)]))
    assert found["forget/min_k"].value == pytest.approx(np.mean(lowest))
    assert found["forget/min_k_plus_plus"].value == pytest.approx(np.mean([low + 2.0 for low in lowest]))
    assert (found["retain/loss"].value, found["retain/min_k"].value) == (-2.0, -3.0)
    assert (found["forget/loss"].ideal, found["retain/loss"].ideal) == ("as_control", "higher")


def test_the_share_of_tokens(evidence: Callable[..., Any], scores: Callable[..., Any]) -> None:
    """Fails if k is not passed on: of ten tokens a tenth is one."""
    given = evidence({"forget": ROWS[1:]}, scores={"forget": scores({("b", "answer"): LOGS["b", "answer"]})})
    found = RwkuMembership(k=0.1).run(given)
    assert found["forget/min_k"].value == -4.0
    assert found["retain/min_k"].unscored == "there are no retain rows"
    with pytest.raises(ValueError, match="share"):
        RwkuMembership(k=0)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_claim_scores_of_forget_rows_fall_and_those_of_retain_rows_stay() -> None:
    """Three draws of people. Mean log p of a token falls by 2.1 [1.3, 2.9], 12.8 and 5.9 on forget rows (ascent, gradient
    difference, RMU; retrained models 5.0) and by .14, .14 and .00 on retain rows; min-20% by 7.1, 27 and 11, and by .5, .5 and .0.

    Fails if the sets change places, or one score stands for another.
    """
    found, read = protocols.rwku(), "rwku_membership:"
    for method in ("ascent", "grad_diff", "rmu", "retrained"):
        for score in ("loss", "min_k"):
            fall = found.over(method, f"{read}forget/{score}", less="target")
            stay = found.over(method, f"{read}retain/{score}", less="target")
            assert fall.high < -0.5
            assert fall.estimate < 5 * stay.estimate
