"""The average gap."""

from __future__ import annotations

import pytest
from classifiers import a_class, by_hand, noise

from expunge.metrics.average_gap import AverageGap

TEST, RETAIN = [0.6] * 18 + [0.4] * 2, [0.99] * 20
OF = ("unlearning_accuracy", "membership_efficacy", "retain_accuracy", "test_accuracy")


def model(name: str, forget: list[float], test: list[float] = TEST, **given: object):  # type: ignore[no-untyped-def]
    return by_hand(name, {"forget": forget, "retain": RETAIN, "test": test}, **given)


def test_four_gaps_by_hand() -> None:
    """Fails if a gap's sign is turned, one is left out, shares stand for points, or the mean is of signed gaps.

    Of ten forget rows .99 is right and a member, .6 right and none, .4 wrong and none. Unlearned: 4 wrong, 7 called non-members; retrained
    2 and 4 wrong, both 8 non-members; test 18 of 20 against 16 and 14: gaps +10, -10, 0, +15.
    """
    retrained = (
        model("retrained-0", [0.99] * 2 + [0.6] * 6 + [0.4] * 2, [0.6] * 16 + [0.4] * 4, role="retrained"),
        model("retrained-1", [0.99] * 2 + [0.6] * 4 + [0.4] * 4, [0.6] * 14 + [0.4] * 6, role="retrained"),
    )
    target = model("target", [0.99] * 10, role="target")
    own = [0.99] * 3 + [0.6] * 3 + [0.4] * 4
    found = AverageGap().run(model("unlearned", own, target=target, retrained=retrained))
    gaps = [found[f"all/{part}"].value for part in OF]
    assert gaps == pytest.approx([10.0, -10.0, 0.0, 15.0])
    assert found["all"].value == pytest.approx(35 / 4)
    assert found["all"].low is not None
    assert found["all"].high is not None
    assert found["all"].low <= 35 / 4 <= found["all"].high


def test_claim_doing_nothing_is_far_and_retraining_once_more_near() -> None:
    """Fails if doing nothing is near retraining, or retraining once more far from it.

    Measured, class: target 49.8, retrained .06 to .21, untrained 54.7. Label noise: target 14.2, retrained 1.0 to 2.2, untrained 59.6.
    """
    for measured, nothing, floor in ((a_class(), 45.0, 2.0), (noise(), 10.0, 4.0)):
        found = {name: AverageGap().run(one) for name, one in measured.evidence.items()}
        assert (found["target"]["all"].value or 0) > nothing
        assert (found["untrained"]["all"].value or 0) > 30
        assert max(found[f"retrained-{i}"]["all"].value or 99 for i in range(3)) < floor
    whole = AverageGap().run(a_class().evidence["target"])
    assert whole["all/unlearning_accuracy"].value == pytest.approx(-100, abs=2)


def test_missing_rows_give_a_reason() -> None:
    """Fails if the average is over the gaps that happen to be there."""
    known = {"retain": RETAIN, "test": TEST}
    retrained = tuple(by_hand(f"retrained-{i}", known, role="retrained") for i in range(2))
    found = AverageGap().run(by_hand("unlearned", known, target=by_hand("target", known), retrained=retrained))
    assert found["all"].unscored == "there are no forget rows"
