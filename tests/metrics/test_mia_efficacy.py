"""Membership efficacy."""

from __future__ import annotations

import pytest
from classifiers import a_class, by_hand, clean, noise

from expunge.metrics.mia_efficacy import MiaEfficacy


def model(name: str, members: int, **given: object):  # type: ignore[no-untyped-def]
    forget = [0.99] * members + [0.6] * (10 - members)
    return by_hand(name, {"forget": forget, "retain": [0.99] * 20, "test": [0.6] * 20}, **given)


def test_share_called_non_members() -> None:
    """Fails if the share of members is given, or the score is not a row's own call: 4 of 10 look like members."""
    retrained = tuple(model(f"retrained-{i}", 1, role="retrained") for i in range(2))
    found = MiaEfficacy().run(model("unlearned", 4, target=model("target", 10), retrained=retrained))["forget"]
    assert found.value == pytest.approx(0.6)
    assert found.per_example == (0.0,) * 4 + (1.0,) * 6
    assert found.ideal == "as_control"


def test_claim_its_ideal_is_the_retrained_models_value_not_the_highest() -> None:
    """Fails if high is read as good, or the anchors lie elsewhere.

    Measured: class, target .01, retrained 1; random rows, clean labels, target .01, retrained .06 to .07; with label noise retrained
    .44 to .50 while doing nothing reads .88 (unmeant by those who print it: test labels are clean, the model surest there).
    """
    found = {name: MiaEfficacy().run(one)["forget"].value for name, one in a_class().evidence.items()}
    assert found["target"] < 0.1
    assert min(found[f"retrained-{i}"] for i in range(3)) > 0.95
    easy = [MiaEfficacy().run(clean().evidence[f"retrained-{i}"])["forget"].value for i in range(3)]
    assert all(value is None or value < 0.25 for value in easy)
    noisy = {name: MiaEfficacy().run(one)["forget"].value for name, one in noise().evidence.items()}
    if noisy["target"] is not None:
        assert abs(noisy["target"] - noisy["retrained-0"]) > 0.05


def test_refused_where_the_retrained_models_scatter_more() -> None:
    """Fails if a number stands where doing nothing lies among the retrained models."""
    retrained = (model("retrained-0", 1, role="retrained"), model("retrained-1", 9, role="retrained"))
    found = MiaEfficacy().run(model("unlearned", 4, target=model("target", 9), retrained=retrained))["forget"]
    assert "doing nothing reads 0.4, retrained models 0.8 to 0.8" in (found.unscored or "")
