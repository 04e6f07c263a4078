"""Activation distance."""

from __future__ import annotations

import numpy as np
import pytest
from classifiers import a_class, by_hand, noise

from expunge.metrics.activation_distance import ActivationDistance


def test_of_softmax_outputs_by_hand() -> None:
    """Fails if log-probabilities are subtracted, squares averaged, or distances to retrained models summed.

    Two classes: sqrt 2 |p - q|. p = .9 against .2 and .4: sqrt 2 (.7 + .5) / 2.
    """
    retrained = tuple(by_hand(f"retrained-{i}", {"forget": [p]}, role="retrained") for i, p in enumerate((0.2, 0.4)))
    given = {"target": by_hand("target", {"forget": [0.99]}), "retrained": retrained}
    found = ActivationDistance().run(by_hand("unlearned", {"forget": [0.9]}, **given))["forget"]
    assert found.value == pytest.approx(np.sqrt(2) * 0.6, abs=1e-6)
    assert found.ideal == "lower"


def test_anchors_on_digits() -> None:
    """Fails if the target is not further than a retrained model is from the others, on a class and with label noise.

    Measured: class, target 1.285, untrained .758, retrained .18 to .22; noise, target .218, untrained .778, retrained .131 to .135.
    """
    for measured, factor in ((a_class(), 3.0), (noise(), 1.15)):
        found = {name: ActivationDistance().run(one)["forget"].value for name, one in measured.evidence.items()}
        floor = max(found[f"retrained-{i}"] for i in range(10))
        assert found["target"] > factor * floor
        assert found["untrained"] > 2 * floor


def test_no_retrained_model_no_number() -> None:
    """Fails if a distance to nothing is 0."""
    found = ActivationDistance().run(by_hand("unlearned", {"forget": [0.9]}))["forget"]
    assert found.unscored == "there is no retrained model to compare with"
