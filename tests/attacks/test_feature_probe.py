"""A line from the features to the label."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from classifiers import a_class, hidden, noise

from expunge.attacks.feature_probe import FeatureProbe


def test_claim_the_body_still_knows_what_the_head_forgot() -> None:
    """Fails if the head is probed, or fitted on the forget rows, which the control would then know as well.

    Measured: target .976, hidden .976, retrained .870 to .878, untrained .777.
    """
    measured = a_class()
    found = {name: np.mean(measured.attack(FeatureProbe(), one, name).forget) for name, one in measured.models.items()}
    own = np.mean(measured.attack(FeatureProbe(), hidden()).forget)
    control = max(found[f"retrained-{i}"] for i in range(3))
    assert own == pytest.approx(found["target"])
    assert own > control + 0.03
    assert found["untrained"] < control


def test_wrong_labels_that_the_body_learned() -> None:
    """Fails if the probability of another label than the row's own is given: .80 for the target, .65 to .68 for retrained models."""
    measured = noise()
    found = {name: np.mean(measured.attack(FeatureProbe(), one, name).forget) for name, one in measured.models.items()}
    assert found["target"] > max(found[f"retrained-{i}"] for i in range(3)) + 0.05


def test_strength_and_what_cannot_be() -> None:
    """Fails if the penalty is ignored, or a class that nobody has gives 0: without holdout threes there is no number."""
    measured = a_class()
    model, asked = measured.models["retrained-0"], measured.evidence["retrained-0"]
    soft = np.mean(measured.attack(FeatureProbe(strength=1e4), model, "retrained-0").forget)
    assert soft < np.mean(measured.attack(FeatureProbe(), model, "retrained-0").forget) - 0.1
    bare = replace(asked, rows={name: rows for name, rows in asked.rows.items() if name != "holdout"})
    assert "1 of the labels asked for" in (FeatureProbe().run(bare, measured.probe(model)).unscored or "")
