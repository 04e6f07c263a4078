"""Collateral damage by distance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from classifiers import over
from text_models import five_of

from expunge.facts.rows import Row
from expunge.metrics.collateral_by_distance import CollateralByDistance
from expunge.statistics.distance import nearest_distance

FORGET = [Row(id="f", fields={"prompt": "red fox lake", "answer": "ur"})]
TEXTS = ["red fox lake", "red fox", "red", "plum", "pear"] * 4
RETAIN = [Row(id=str(i), fields={"prompt": text, "answer": "so" if i % 5 else "ur"}) for i, text in enumerate(TEXTS)]


@pytest.fixture
def model(scores: Callable[..., Any], evidence: Callable[..., Any]) -> Callable[..., Any]:
    def make(*p: float, **given: Any) -> Any:
        passed = scores({(str(i), "answer"): [2 * np.log(one), 0.0] for i, one in enumerate(p * 4)})
        return evidence({"forget": FORGET, "retain": RETAIN}, scores={"retain": passed}, **given)

    return make


def test_by_hand(model: Callable[..., Any]) -> None:
    """Fails if what was gained counts as lost, the bins run from far to near, or the slope is not that of least squares."""
    target = model(0.9, 0.9, 0.9, 0.9, 0.9)
    found = CollateralByDistance(bins=2).run(model(0.1, 0.5, 0.7, 0.9, 1.0, target=target))
    lost = [0.8, 0.4, 0.2, 0.0, -0.1] * 4
    assert found["retain"].per_example == pytest.approx(lost)
    assert found["retain"].name == "utility lost against the target"
    assert found["retain/bin_1"].value == pytest.approx((0.8 + 0.4 + 0.2) / 3)
    assert found["retain/bin_2"].value == pytest.approx(-0.05)
    distance = nearest_distance([f"{row['prompt']} {row['answer']}" for row in RETAIN], ["red fox lake ur"])
    assert distance[[0, 3, 4]] == pytest.approx([0, 1, 1])
    assert found["retain/bin_1"].name.endswith(f"distance 0.00 to {distance[2]:.2f}")
    slope = found["retain/slope"]
    assert slope.value == pytest.approx(np.polyfit(distance, lost, 1)[0])
    assert slope.low is not None
    assert slope.high is not None
    assert slope.value is not None
    assert slope.low <= slope.value <= slope.high < 0


def test_retrained_models_come_before_the_target(model: Callable[..., Any]) -> None:
    """Fails if the target is compared with where retrained models are, or one of them stands for their mean."""
    retrained = (model(*[0.4] * 5), model(*[0.6] * 5))
    found = CollateralByDistance().run(model(*[0.3] * 5, target=model(*[0.9] * 5), retrained=retrained))["retain"]
    assert found.per_example == pytest.approx([0.2] * 20)
    assert found.name == "utility lost against the retrained models"


def test_nothing_to_compare_with_no_number(model: Callable[..., Any], evidence: Callable[..., Any]) -> None:
    """Fails if a missing target, retain set or spread of distances gives 0."""
    alone = CollateralByDistance().run(model(*[0.3] * 5))
    assert list(alone) == ["retain"]
    assert alone["retain"].unscored is not None
    bare = evidence({"forget": FORGET}, target=evidence({"forget": FORGET}))
    assert CollateralByDistance().run(bare)["retain"].unscored == alone["retain"].unscored
    with pytest.raises(ValueError, match="bins"):
        CollateralByDistance(bins=1)


def test_one_distance_has_no_slope(scores: Callable[..., Any], evidence: Callable[..., Any]) -> None:
    """Fails if a slope over rows that all lie equally far is a number."""
    rows = [Row(id=str(i), fields={"prompt": "plum", "answer": "so"}) for i in range(3)]

    def made(p: float, **given: Any) -> Any:
        passed = scores({(row.id, "answer"): [np.log(p)] for row in rows})
        return evidence({"forget": FORGET, "retain": rows}, scores={"retain": passed}, **given)

    found = CollateralByDistance().run(made(0.5, target=made(0.75)))
    assert found["retain/slope"].unscored is not None
    assert found["retain/bin_1"].value == pytest.approx(0.25)
    assert "retain/bin_2" not in found


@pytest.mark.slow
def test_claim_ascent_costs_neighbours_more_than_what_lies_far() -> None:
    """Five draws of people. The loss of retain answers' probability a unit of distance: -.45 [-.73, -.17] after ascent (.53 lost in the nearest
    quarter, .44 in the farthest), -.07 [-.11, -.02] after gradient difference and -.03 [-.04, -.02] after NPO; .01 [-.03, .05] of retrained
    models, and -.04 [-.21, .12] after a refusal that costs .90 everywhere.

    Fails if the distance is to the retain rows themselves, or the slope's sign is turned.
    """
    slopes, near, far = (five_of(CollateralByDistance(), f"retain/{part}") for part in ("slope", "bin_1", "bin_4"))
    for name in ("ascent", "grad_diff", "npo"):
        assert over(slopes, name).high < 0
    assert over(slopes, "retrained").low < 0 < over(slopes, "retrained").high
    assert over(near, "ascent").estimate > over(far, "ascent").estimate
    assert over(slopes, "target").low == over(slopes, "target").high == 0
