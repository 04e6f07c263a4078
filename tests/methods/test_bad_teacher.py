from __future__ import annotations

from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from classifiers import mean_interval, read, share_right
from digits_gap import RETRAINED, SEEDS, digits_gap, removed
from tiny_problems import Tiny, mean_over_positions, plain

from expunge.contract.job import Job
from expunge.methods.bad_teacher import BadTeacher
from expunge.metrics.js_divergence import JsDivergence
from expunge.metrics.zrf import Zrf
from expunge.statistics.bounds import Bounds


def divergence(teacher: Any, moved: Any, rows: Any) -> float:
    found = []
    for (taught, _), (logits, _) in zip(plain(teacher, rows), plain(moved, rows), strict=True):
        q, p = torch.softmax(taught / 2, -1), torch.softmax(logits / 2, -1)
        found.append(4 * (q * (q / p).log()).sum(-1))
    return mean_over_positions(found)


@pytest.mark.parametrize("problem", ["people", "clouds"])
def test_each_teacher_has_its_rows(
    problem: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails if: teachers change places, the good one moves with the model, KL is averaged over classes or reversed."""
    tiny: Tiny = request.getfixturevalue(problem)
    seen = tiny.spied(BadTeacher(temperature=2.0, forget_weight=2.0, retain_weight=3.0), monkeypatch, seed=5)
    push = divergence(tiny.target.fresh(Job(seed=5).fresh_seed), seen.moved, seen.step.forget)
    keep = divergence(tiny.target, seen.moved, seen.step.retain)
    assert seen.loss == pytest.approx(2.0 * push + 3.0 * keep, rel=1e-4)


def test_bad_teacher_follows_the_runs_seed(clouds: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if: the untrained teacher is a copy of the target: with no retain term the loss at the target would be 0."""
    seen = clouds.spied(BadTeacher(retain_weight=0.0), monkeypatch)
    assert seen.loss > 0.1


def test_forgets_and_keeps(people: Tiny, clouds: Tiny) -> None:
    """Fails if: the teachers change places."""
    people.removes(BadTeacher, {"batch_size": 2}, forget=0.7, retain=0.85)
    clouds.removes(BadTeacher, {"batch_size": 4}, forget=0.4, retain=0.9)


class Found(NamedTuple):
    """What is read of one problem."""

    alike: float
    """Likeness of the answers on forget rows to an untrained model's (`zrf`) after the method."""
    nothing_alike: float
    least_alike: float
    """Of the ten retrained models the one least, and the one most, like an untrained model."""
    most_alike: float
    retain_error: float
    """After the method, in percent."""
    away: float
    """Bits of Jensen-Shannon divergence to the retrained models on forget rows after the method."""
    nothing_away: float
    again_away: float
    """Of the ten retrained models the one furthest from the others."""


def measured(case: str, seed: int) -> Found:
    anchors = digits_gap(case, seed).evidence
    after = [removed(case, seed, "bad_teacher", own) for own in (0, 1)]
    retrained = [anchors[f"retrained-{i}"] for i in range(RETRAINED)]
    zrf, js = ([read(unit, one, "forget") for one in retrained] for unit in (Zrf(), JsDivergence()))
    found = Found(
        alike=fmean(read(Zrf(), one, "forget") for one in after),
        nothing_alike=read(Zrf(), anchors["target"], "forget"),
        least_alike=min(zrf),
        most_alike=max(zrf),
        retain_error=100 - fmean(share_right(one, "retain") for one in after),
        away=fmean(read(JsDivergence(), one, "forget") for one in after),
        nothing_away=read(JsDivergence(), anchors["target"], "forget"),
        again_away=max(js),
    )
    print(case, seed, found)
    return found


def test_claim_goes_to_the_untrained_model_and_away_from_the_retrained_ones() -> None:
    """Wrong labels, seed 0: likeness to an untrained model .93 (ten retrained models .28 to .29, do nothing .24), retain error 23%.

    From the retrained models it lies .51 bits, doing nothing .26, retraining once more .06. Fails if the teachers change places.
    """
    found = measured("random", 0)
    assert found.nothing_alike < found.least_alike < found.most_alike < 0.5 < 0.8 < found.alike
    assert found.again_away < found.nothing_away < found.away
    assert 10 < found.retain_error < 40


def over_five(case: str) -> dict[str, Bounds]:
    """See whose the answers on forget rows are; also how many bits further from retraining than doing nothing, and than retraining again."""
    found = Found(*np.array([measured(case, seed) for seed in SEEDS]).T)
    over = {name: mean_interval(values) for name, values in found._asdict().items()}
    over |= {
        "than nothing": mean_interval(found.away - found.nothing_away),
        "than again": mean_interval(found.away - found.again_away),
    }
    print(case, over)
    assert over["most_alike"].high < 0.5 < over["alike"].low < over["alike"].high < 1
    assert mean_interval(found.least_alike - found.nothing_alike).low > 0
    assert over["retain_error"].high < {"class": 2, "random": 30}[case]
    assert mean_interval(found.nothing_away - found.again_away).low > 0
    return over


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_claim_over_five_problems_of_a_class() -> None:
    """The threes, ten retrained models each, settings of docs/results/digits.md (searched on two other problems).

    Likeness to an untrained model (ZRF) .84 [.80, .89] (of the retrained model most like one .35, do nothing .24), retain error .3%
    [.1, .4]. Bits to the retrained models .49 [.44, .54]: .51 [.46, .56] nearer than doing nothing, .42 [.38, .46] further than
    retraining once more.
    Fails as above, or if the frozen teacher gets the forget rows.
    """
    over = over_five("class")
    assert over["alike"].low > 0.7
    assert over["than nothing"].high < -0.2
    assert over["than again"].low > 0.2


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_claim_over_five_problems_with_wrong_labels_costs_retain_accuracy() -> None:
    """Likeness to an untrained model .94 [.93, .94] (of the retrained model most like one .30, do nothing .24).

    Retain error 22.6% [19.3, 25.8], not within the 2 that a class keeps to. Bits to the retrained models .52 [.50, .53]: .22 [.17, .28] further
    than doing nothing, .44 [.43, .46] further than retraining once more. At the setting of an earlier search (lr .0061, retain weight 6.4) .60
    [.59, .62], 4.8% [3.5, 6.2] and .26 bits, about those of doing nothing. Fails as above.
    """
    over = over_five("random")
    assert over["alike"].low > 0.8
    assert over["retain_error"].low > 10
    assert over["than nothing"].low > 0
    assert over["than again"].low > 0
