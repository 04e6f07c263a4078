"""Distance between sets of predicted numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from anchored import NUMBER_SEEDS, RETRAINED, numbers_of

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


def test_claim_the_target_lies_above_the_floor_in_the_mean_and_not_on_each_seed() -> None:
    """A regression learnt by heart, 40 forget rows, three seeds. Fails if the floor is the target's own distance, or the claim holds on each seed.

    Measured, target against the floor: .90 and .56, .70 and .68, 1.50 and .48; untrained 2.4 to 3.0. The bound was 1.5 times the floor, which held on six other seeds with three retrained models
    (2.0 to 3.4 times) and fails on seed 2: as a set what was learnt by heart can lie as near as another retrained model's predictions do.
    """
    every = [{name: Wasserstein().run(one) for name, one in numbers_of(seed).items()} for seed in NUMBER_SEEDS]

    def of(name: str, key: str = "forget") -> np.ndarray:
        return np.array([found[name][key].value for found in every], np.float64)

    floor = of("target", "forget/floor")
    assert of("target").mean() > 1.4 * floor.mean()
    assert (of("target") > 1.5 * floor).tolist() == [True, False, True]
    assert all(of(name) == pytest.approx(floor) for name in RETRAINED)
    assert (of("untrained") > 1.3 * of("target")).all()
