"""Distance between sets of predicted numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from anchored import NUMBER_SEEDS, RETRAINED, numbers_of
from classifiers import mean_interval

from expunge.facts.rows import Row
from expunge.metrics.wasserstein import Wasserstein

ROWS = [Row(id=str(i), fields={"label": label}) for i, label in enumerate((10.0, 20.0, 30.0, 40.0))]


def said(*values: float) -> dict[str, np.ndarray]:
    return {"forget": np.array(values, np.float32)[:, None]}


def test_distance_between_sets_of_predictions(evidence: Callable[..., Any]) -> None:
    """W1 of two sets of equal size is the mean difference of the sorted numbers. Fails if rows are compared one by one, retrained
    predictions are pooled (W1 would be 0.5 and not 1), or the floor counts a model against itself."""
    others = tuple(evidence({"forget": ROWS}, predictions=said(*values)) for values in ((1, 2, 3, 4), (3, 4, 5, 6)))
    one = evidence({"forget": ROWS}, predictions=said(5, 4, 3, 2), retrained=others)
    found = Wasserstein().run(one)
    assert found["forget"].value == pytest.approx((1 + 1) / 2)
    assert found["forget/floor"].value == pytest.approx(2.0)
    again = evidence({"forget": ROWS}, predictions=said(4, 1, 3, 2), retrained=others[:1])
    assert Wasserstein().run(again)["forget"].value == pytest.approx(0.0)
    assert "forget/floor" not in Wasserstein().run(again)
    alone = Wasserstein().run(evidence({"forget": ROWS}, predictions=said(1, 2, 3, 4)))["forget"]
    assert alone.unscored == "there is no retrained model to compare with"


def test_claim_the_target_lies_above_the_floor_but_not_by_half_of_it() -> None:
    """A regression learnt by heart, 40 forget rows, five draws of rows and models. Fails if the floor is the target's own distance.

    Measured, target against the floor of ten retrained models: 1.38 and .59, 2.05 and .54, 1.35 and .66, .75 and .61, 1.15 and .60; above
    it by .74 [.11, 1.36] (95% interval over draws). That is 2.3 [1.1, 3.5] times the floor, so that the bound of 1.5 times set on six
    other seeds does not hold: as a set what was learnt by heart can lie nearly as near as another retrained model's predictions do.
    Untrained 3.0 to 3.6, above the target by 1.9 [1.4, 2.4].
    """
    every = [{name: Wasserstein().run(one) for name, one in numbers_of(seed).items()} for seed in NUMBER_SEEDS]

    def of(name: str, key: str = "forget") -> np.ndarray:
        return np.array([found[name][key].value for found in every], np.float64)

    target, floor, untrained = of("target"), of("target", "forget/floor"), of("untrained")
    again = np.mean([of(name) for name in RETRAINED], axis=0)
    above, times, further = map(mean_interval, (target - floor, target / floor, untrained - target))
    print(target, floor, above, times, further)
    assert again == pytest.approx(floor)
    assert above.low > 0
    assert 1 < times.low < 1.5
    assert further.low > 0
