"""Membership by the modified entropy. Its two published defects are tested by name in tests/statistics/test_class_membership.py."""

from __future__ import annotations

import numpy as np
import pytest
from classifiers import a_class, by_hand, noise

from expunge.attacks.entropy import Entropy
from expunge.attacks.modified_entropy import ModifiedEntropy
from expunge.statistics.auc import auc


def test_minus_the_modified_entropy_of_each_rows_own_label() -> None:
    """Fails if the sign is turned or the entropy is taken: sure and wrong must score lowest, below unsure.

    Two classes, label 0: Mentr = -(1 - p) log p - (1 - p) log(1 - (1 - p)) = -2 (1 - p) log p.
    """
    made = by_hand("m", {"forget": [0.9, 0.1], "holdout": [0.5]})
    found = ModifiedEntropy().run(made, a_class().probe(a_class().problem.target))
    assert found.forget == pytest.approx([2 * (1 - p) * np.log(p) for p in (0.9, 0.1)], abs=1e-6)
    assert found.holdout == pytest.approx([np.log(0.5)], abs=1e-6)
    assert found.forget[1] < found.holdout[0] < found.forget[0]


def test_claim_above_the_entropy_and_the_control() -> None:
    """Fails if wrong labels that only the target knows are not seen, or a retrained model's rows are told from holdout rows.

    Measured AUC: target .588 (entropy .521), retrained .486 to .494.
    """
    measured = noise()
    areas = {}
    for name, model in measured.models.items():
        found = measured.attack(ModifiedEntropy(), model, name)
        areas[name] = auc(found.forget, found.holdout)
    plain = measured.attack(Entropy(), measured.problem.target, "target")
    assert areas["target"] > auc(plain.forget, plain.holdout)
    assert areas["target"] > max(areas[f"retrained-{i}"] for i in range(3)) + 0.03
