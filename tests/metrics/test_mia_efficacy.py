"""Membership efficacy."""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean

import pytest
from classifiers import SEEDS, Measured, a_class, by_hand, clean, mean_interval, noise

from expunge.engine.told_apart import called_non_member
from expunge.metrics.mia_efficacy import MiaEfficacy
from expunge.statistics.bounds import Bounds


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


def reads(measured: Measured) -> tuple[float | None, list[float]]:
    """Efficacy of the target, nothing where the metric refuses, and of each of the ten retrained models."""
    retrained = [float(called_non_member(measured.evidence[f"retrained-{i}"]).mean()) for i in range(10)]
    return MiaEfficacy().run(measured.evidence["target"])["forget"].value, retrained


def over(problem: Callable[[int], Measured]) -> tuple[Bounds, Bounds, list[float]]:
    """Intervals over five draws of the target's and of how far the retrained models' mean lies above it; and all of theirs."""
    draws = [reads(problem(seed)) for seed in SEEDS]
    targets = [target for target, _ in draws if target is not None]
    above = mean_interval([fmean(again) - target for target, (_, again) in zip(targets, draws, strict=True)])
    every = [value for _, again in draws for value in again]
    print(mean_interval(targets), above, min(every), max(every))
    return mean_interval(targets), above, every


def test_claim_its_ideal_is_the_retrained_models_value_not_the_highest() -> None:
    """A class, five draws of rows and models. Fails if high is read as good, or the anchors lie elsewhere.

    Measured, with 95% intervals over draws: target .010 [.001, .019], all fifty retrained models 1, which lies .990 [.981, .999] above.
    """
    target, above, every = over(a_class)
    assert target.high < 0.1
    assert above.low > 0.95
    assert min(every) > 0.95


@pytest.mark.slow
def test_claim_on_random_rows_it_is_low_for_retrained_models_too_and_with_wrong_labels_hardly_to_be_read() -> None:
    """A random tenth, the same five draws. Fails as above, or if a number stands where doing nothing lies among the retrained models.

    Clean labels: target .008 [-.003, .020], retrained .035 to .104, their means above it by .053 [.037, .068]. With a fifth of labels
    wrong the metric refuses on four draws; on the other doing nothing reads .28, below the retrained models' .35 to .49, while on seed 0
    it reads .88, above their .27 to .51 (unmeant by those who print it: test labels are clean, the model surest there).
    """
    target, above, every = over(clean)
    assert target.high < 0.1
    assert above.low > 0
    assert max(every) < 0.25
    (low, below), *others = (reads(noise(seed)) for seed in SEEDS)
    assert [one for one, _ in others] == [None] * 4
    high, beneath = reads(noise())
    print(low, below, high, beneath)
    assert low is not None
    assert high is not None
    assert low < min(below)
    assert max(beneath) < high


def test_refused_where_the_retrained_models_scatter_more() -> None:
    """Fails if a number stands where doing nothing lies among the retrained models."""
    retrained = (model("retrained-0", 1, role="retrained"), model("retrained-1", 9, role="retrained"))
    found = MiaEfficacy().run(model("unlearned", 4, target=model("target", 9), retrained=retrained))["forget"]
    assert "doing nothing reads 0.4, retrained models 0.8 to 0.8" in (found.unscored or "")
