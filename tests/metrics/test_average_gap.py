"""The average gap."""

from __future__ import annotations

from statistics import fmean

import digits_gap as by_heart
import pytest
from classifiers import SEEDS, Measured, a_class, by_hand, noise, over

from expunge.metrics.average_gap import AverageGap, _average, _columns, _parts

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


def gaps_of(measured: Measured) -> dict[str, float]:
    """The gap of the target, of an untrained model and of retraining once more: mean and furthest of ten, each beside the other nine.

    Also where the metric refuses to give it.
    """
    parts = _parts()
    found = {name: _average(_columns(one, one.retrained, parts)) for name, one in measured.evidence.items()}
    again = [found[f"retrained-{i}"] for i in range(10)]
    scored = AverageGap().run(measured.evidence["target"])["all"].value
    assert scored == (None if found["target"] <= max(again) else pytest.approx(found["target"]))
    return {**found, "again": fmean(again), "furthest": max(again)}


def test_claim_doing_nothing_is_far_and_retraining_once_more_near() -> None:
    """A class, five draws of rows and models. Fails if doing nothing is near retraining, or retraining once more far from it.

    Measured, with 95% intervals over draws: target 49.6 to 50.1, above retraining once more by 49.7 [49.5, 50.0]; retraining once more
    .10 [.07, .13], the furthest of fifty .22; an untrained model 54 [40, 69].
    """
    draws = [gaps_of(a_class(seed)) for seed in SEEDS]
    assert over(draws, "target", "again").low > 45
    assert over(draws, "again").high < 2
    assert over(draws, "untrained").low > 30
    whole = AverageGap().run(a_class(SEEDS[0]).evidence["target"])
    assert whole["all/unlearning_accuracy"].value == pytest.approx(-100, abs=2)


@pytest.mark.slow
def test_claim_on_label_noise_holds_where_the_target_learnt_it_by_heart_alone() -> None:
    """A tenth of rows, a fifth of whose labels are wrong, five draws of rows and models of each of two trainings.

    100 epochs of an MLP of width 256: target 17.1 to 21.7, above retraining once more (.9 to 1.3, the furthest 2.3) by 17.7 [15.6, 19.8].
    30 epochs of one of width 96: target 2.9 to 6.0, above retraining once more (1.4 to 2.6) by 2.9 [1.5, 4.4], but not above the furthest
    of ten (3.1 to 6.2; by .4 [-1.8, 2.5]): on three of the five draws the metric refuses. The 14 points that its claim was written for
    are those of one draw, seed 0 (16.5 beside ten retrained models, of which the furthest lies at 4.6). Fails if doing nothing is near
    retraining where it knows what retraining does not, or the metric answers where it cannot tell the two apart.
    """
    known = [gaps_of(by_heart.digits_gap("random", seed)) for seed in by_heart.SEEDS]
    assert over(known, "target", "again").low > 10
    assert over(known, "target", "furthest").low > 10
    assert over(known, "again").high < 2
    assert gaps_of(noise())["target"] > 14
    hardly = [gaps_of(noise(seed)) for seed in SEEDS]
    assert 0 < over(hardly, "target", "again").low < over(hardly, "target").high < 10
    beyond = over(hardly, "target", "furthest")
    assert beyond.low < 0 < beyond.high
    assert [one["target"] > one["furthest"] for one in hardly] == [True, False, False, True, False]


def test_missing_rows_give_a_reason() -> None:
    """Fails if the average is over the gaps that happen to be there."""
    known = {"retain": RETAIN, "test": TEST}
    retrained = tuple(by_hand(f"retrained-{i}", known, role="retrained") for i in range(2))
    found = AverageGap().run(by_hand("unlearned", known, target=by_hand("target", known), retrained=retrained))
    assert found["all"].unscored == "there are no forget rows"
