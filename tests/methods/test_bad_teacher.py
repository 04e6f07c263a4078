from __future__ import annotations

from statistics import fmean
from typing import Any

import pytest
import torch
from classifiers import read, share_right
from digits_gap import SEEDS, digits_gap, removed
from tiny_problems import Tiny, mean_over_positions, plain

from expunge.contract.job import Job
from expunge.methods.bad_teacher import BadTeacher
from expunge.metrics.js_divergence import JsDivergence
from expunge.metrics.zrf import Zrf


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


def random_on_forget_rows(case: str, seed: int, retain_error: float) -> None:
    """Answers on forget rows are an untrained model's: nearer to it than a retrained model's are by far; retain rows pay so much at most."""
    anchors = digits_gap(case, seed).evidence
    found = [removed(case, seed, "bad_teacher", own) for own in (0, 1)]
    alike = fmean(read(Zrf(), one, "forget") for one in found)
    retrained = [read(Zrf(), anchors[f"retrained-{i}"], "forget") for i in range(3)]
    kept = fmean(share_right(one, "retain") for one in found)
    print(case, seed, alike, retrained, read(Zrf(), anchors["target"], "forget"), kept)
    assert read(Zrf(), anchors["target"], "forget") < min(retrained) < max(retrained) < 0.5 < 0.7 < alike < 1
    assert kept > 100 - retain_error


def away_from_retraining(case: str, seed: int) -> tuple[float, float, float]:
    """Bits of Jensen-Shannon divergence to the retrained models on forget rows: after it, doing nothing, retrained once more."""
    anchors = digits_gap(case, seed).evidence
    return (
        fmean(read(JsDivergence(), removed(case, seed, "bad_teacher", own), "forget") for own in (0, 1)),
        read(JsDivergence(), anchors["target"], "forget"),
        max(read(JsDivergence(), anchors[f"retrained-{i}"], "forget") for i in range(3)),
    )


def test_claim_follows_the_untrained_model_and_not_the_retrained_ones() -> None:
    """Wrong labels, seed 0: likeness to an untrained model .93 (retrained .29, do nothing .24), a quarter of the retain rows lost.

    From the retrained models it lies .51 bits, doing nothing .26, retraining once more .05. Fails if the teachers change places.
    """
    random_on_forget_rows("random", 0, 30)
    after, nothing, again = away_from_retraining("random", 0)
    assert again < nothing < after - 0.1
    assert share_right(removed("random", 0, "bad_teacher", 0), "retain") < 90


@pytest.mark.slow
def test_claim_over_problems() -> None:
    """It holds for a class; for rows with wrong labels retain accuracy goes as well. Three problems each, settings of docs/results/digits.md.

    Likeness to an untrained model (ZRF) of the threes: .83 to .91 (retrained .33 to .36, do nothing .23 to .25), retain error 0 to .4%. Of
    rows with wrong labels .93 (.29 to .31, .24 to .25), retain error 19 to 25%. Bits to the retrained models: threes .46 to .53 (do nothing 1.0, retrained once more .03 to .12); wrong labels .50 to .51
    (.26 to .34, .04 to .06): there doing nothing is the nearer. Fails as above, or if the frozen teacher gets the forget rows.
    """
    for seed in SEEDS[:3]:
        random_on_forget_rows("class", seed, 2)
        after, nothing, again = away_from_retraining("class", seed)
        print(after, nothing, again)
        assert again + 0.2 < after < nothing - 0.2
        random_on_forget_rows("random", seed, 30)
        after, nothing, again = away_from_retraining("random", seed)
        print(after, nothing, again)
        assert again < nothing < after - 0.1
