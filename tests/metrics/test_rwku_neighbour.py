"""RWKU's neighbour score by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import protocols
import pytest

from expunge.facts.rows import Row
from expunge.metrics.rwku_neighbour import RwkuNeighbour

ROWS = [
    Row(id=name, fields={"answer": f"{value}.", "value": value, "level": level, "probe": kind})
    for name, level, kind, value in (
        ("a", 1, "fill_in_the_blank", "Rome"),
        ("b", 2, "question_answering", "New York"),
        ("c", 2, "question_answering", "Oslo"),
    )
]
SAID = ["Rome.", "York.", "Paris."]


def test_near_and_far_by_level(evidence: Callable[..., Any]) -> None:
    """Recalls 1, 1/2, 0, and all 1 far off. Fails if sets are pooled, rows to forget or held out count, or falling is called good."""
    given = {
        "neighbour": ROWS,
        "distant": ROWS,
        "forget/probes": ROWS,
        "holdout": ROWS,
        "test": [Row(id="t", fields={"answer": "x"})],
    }
    said = dict.fromkeys(given, SAID) | {"distant": ["Rome", "New York", "Oslo"], "test": ["x"]}
    found = RwkuNeighbour().run(evidence(given, generations=said))
    assert {name: score.value for name, score in found.items()} == pytest.approx(
        {
            "neighbour": 0.5,
            "neighbour/level_1": 1.0,
            "neighbour/level_2": 0.25,
            "distant": 1.0,
            "distant/level_1": 1.0,
            "distant/level_2": 1.0,
        }
    )
    assert {score.ideal for score in found.values()} == {"higher"}
    assert found["neighbour"].per_example == pytest.approx((1.0, 0.5, 0.0))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_claim_neighbours_pay_no_more_than_distant_people() -> None:
    """The claim is not shown in a model of 0.5M parameters. Three draws of people, the share of facts of neighbours that is said.

    Target .99; ascent loses .13 [-.28, .53] of them, .04 [-.23, .30] more than of distant people, gradient difference .03 and .00 more,
    RMU none.
    Fails if neighbours and distant people change places, or one of them is not known to the target.
    """
    found = protocols.rwku()
    for whom in ("neighbour", "distant"):
        assert found.over("target", f"rwku_neighbour:{whom}").low > 0.9
        assert found.over("retrained", f"rwku_neighbour:{whom}").low > 0.9
    for method in ("ascent", "grad_diff", "rmu"):
        lost = found.over(method, "rwku_neighbour:neighbour", less="target")
        more = found.over(method, "rwku_neighbour:neighbour", than="rwku_neighbour:distant")
        assert lost.high > -0.05
        assert more.low < 0 < more.high
