"""Membership by the entropy of the prediction."""

from __future__ import annotations

from statistics import fmean

import numpy as np
import pytest
from classifiers import SEEDS, a_class, by_hand, mean_interval, noise

from expunge.attacks.entropy import Entropy
from expunge.statistics.auc import auc


def test_minus_the_entropy() -> None:
    """Fails if the sign is turned (an unsure row would be the member), or the label is read: sure and wrong is a member here."""
    made = by_hand("m", {"forget": [0.9, 0.1], "holdout": [0.5]})
    found = Entropy().run(made, a_class().probe(a_class().problem.target))
    wanted = 0.9 * np.log(0.9) + 0.1 * np.log(0.1)
    assert found.forget == pytest.approx((wanted, wanted), abs=1e-6)
    assert found.holdout == pytest.approx((-np.log(2),), abs=1e-6)


def areas_of(seed: int) -> tuple[float, list[float]]:
    """Membership AUC on wrong labels: the target's, and those of the ten retrained models."""
    measured = noise(seed)
    found = {name: measured.attack(Entropy(), model, name) for name, model in measured.models.items()}
    areas = {name: auc(one.forget, one.holdout) for name, one in found.items()}
    return areas["target"], [areas[f"retrained-{i}"] for i in range(10)]


def test_claim_hardly_holds_on_wrong_labels() -> None:
    """Fails if the control scores what the target does, or as much as the claim says: what a wrong label costs, entropy does not see.

    Measured AUC, one draw: target .520, ten retrained models .459 to .526.
    """
    target, again = areas_of(0)
    assert 0.4 < target < 0.65
    assert max(again) < 0.57


@pytest.mark.slow
def test_claim_over_five_draws() -> None:
    """Rows and models of five draws. Fails as above, or if the rest that entropy sees is not the target's.

    Measured AUC, with 95% intervals over draws: target .535 [.501, .570], above the ten retrained models (.505 [.457, .552], no better
    than chance) by .031 [.010, .052]: what the claim says, and hardly more than nothing.
    """
    draws = [areas_of(seed) for seed in SEEDS]
    target = mean_interval([one for one, _ in draws])
    control = mean_interval([fmean(again) for _, again in draws])
    above = mean_interval([one - fmean(again) for one, again in draws])
    print(target, control, above)
    assert 0.4 < target.low < target.high < 0.65
    assert control.low < 0.5 < control.high < 0.57
    assert 0 < above.low < above.high < 0.1


def test_without_predictions_a_reason() -> None:
    """Fails if 0.5 or 0 stands for what was not measured."""
    made = by_hand("m", {"forget": [0.9]})
    assert Entropy().run(made, a_class().probe(a_class().problem.target)).unscored == "there are no holdout rows"
