"""Membership by the entropy of the prediction."""

from __future__ import annotations

import numpy as np
import pytest
from classifiers import a_class, by_hand, noise

from expunge.attacks.entropy import Entropy
from expunge.statistics.auc import auc


def test_minus_the_entropy() -> None:
    """Fails if the sign is turned (an unsure row would be the member), or the label is read: sure and wrong is a member here."""
    made = by_hand("m", {"forget": [0.9, 0.1], "holdout": [0.5]})
    found = Entropy().run(made, a_class().probe(a_class().problem.target))
    wanted = 0.9 * np.log(0.9) + 0.1 * np.log(0.1)
    assert found.forget == pytest.approx((wanted, wanted), abs=1e-6)
    assert found.holdout == pytest.approx((-np.log(2),), abs=1e-6)


def test_claim_hardly_holds_on_wrong_labels() -> None:
    """Fails if the control scores what the target does, or as much as the claim says: what a wrong label costs, entropy does not see.

    Measured AUC: target .521, retrained .470 to .486.
    """
    measured = noise()
    found = {name: measured.attack(Entropy(), model, name) for name, model in measured.models.items()}
    areas = {name: auc(one.forget, one.holdout) for name, one in found.items()}
    assert 0.4 < areas["target"] < 0.65
    assert all(areas[f"retrained-{i}"] < 0.57 for i in range(3))


def test_without_predictions_a_reason() -> None:
    """Fails if 0.5 or 0 stands for what was not measured."""
    made = by_hand("m", {"forget": [0.9]})
    assert Entropy().run(made, a_class().probe(a_class().problem.target)).unscored == "there are no holdout rows"
