"""Membership by entropy."""

from __future__ import annotations

import pytest
from classifiers import a_class, by_hand, noise

from expunge.metrics.entropy_membership import EntropyMembership


def model(name: str, sure: int, **given: object):  # type: ignore[no-untyped-def]
    forget = [0.99] * sure + [0.5] * (10 - sure)
    return by_hand(name, {"forget": forget, "retain": [0.99] * 20, "test": [0.5] * 20}, **given)


def test_share_called_members() -> None:
    """Fails if the share of non-members is given (`mia_efficacy` points that way), or the labels are read: entropy has none."""
    retrained = tuple(model(f"retrained-{i}", 1, role="retrained") for i in range(2))
    found = EntropyMembership().run(model("unlearned", 4, target=model("target", 10), retrained=retrained))["forget"]
    assert found.value == pytest.approx(0.4)
    assert found.per_example == (1.0,) * 4 + (0.0,) * 6


def test_anchors_on_digits() -> None:
    """Fails if the target is not called a member, or a model without the class is.

    Measured, class: target .74, retrained .05 to .11, untrained 0: below the retrained models, so the lowest is no ideal. With label noise
    the target lies .04 from the retrained models and these up to .05 apart: refused there.
    """
    found = {name: EntropyMembership().run(one)["forget"].value for name, one in a_class().evidence.items()}
    retrained = [found[f"retrained-{i}"] for i in range(10)]
    assert found["target"] > 0.5 > 0.3 > max(retrained)
    assert found["untrained"] <= min(retrained)
    noisy = EntropyMembership().run(noise().evidence["target"])["forget"]
    assert noisy.unscored is None or "out of order" in noisy.unscored
