"""Mean absolute error of predicted numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from expunge.facts.rows import Row
from expunge.metrics.prediction_error import PredictionError

ROWS = [Row(id=str(i), fields={"label": label}) for i, label in enumerate((10.0, 20.0, 30.0, 40.0))]


def said(*values: float) -> dict[str, np.ndarray]:
    return {"forget": np.array(values, np.float32)[:, None]}


def test_mean_error_on_the_scale_of_the_rows(evidence: Callable[..., Any]) -> None:
    """Fails if errors cancel (signs), the retrained models are averaged before the error is taken, or a classifier gets one."""
    others = tuple(
        evidence({"forget": ROWS}, predictions=said(*values)) for values in ((14, 20, 30, 40), (6, 20, 30, 40))
    )
    one = evidence({"forget": ROWS}, modality="tabular", predictions=said(12, 18, 30, 44), retrained=others)
    found = PredictionError().run(one)
    assert found["forget"].per_example == pytest.approx((2, 2, 0, 4))
    assert found["forget"].value == pytest.approx(2.0)
    assert found["forget/retrained"].value == pytest.approx(1.0)
    probabilities = {"forget": np.zeros((4, 3), np.float32)}
    refused = PredictionError().run(evidence({"forget": ROWS}, predictions=probabilities))
    assert str(refused["forget"].unscored).startswith("predictions of shape (4, 3) are no numbers")
    assert (
        PredictionError().run(evidence({"forget": ROWS}))["forget"].unscored
        == "no predictions of 'forget' were computed"
    )
