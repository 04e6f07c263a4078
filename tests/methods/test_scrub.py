from __future__ import annotations

from collections.abc import Callable, Iterable
from statistics import fmean
from typing import Any

import numpy as np
import pytest
import torch
from classifiers import mean_interval, read, share_right
from digits_gap import RETRAINED, SEEDS, digits_gap, removed
from tiny_problems import Tiny, mean_over_positions, nll, plain
from torch import Tensor

from expunge.contract.evidence import Evidence
from expunge.contract.model import Model
from expunge.engine.descend import Descent
from expunge.methods import scrub
from expunge.methods.scrub import SCRUB
from expunge.metrics.average_gap import AverageGap
from expunge.metrics.js_divergence import JsDivergence


def losses_of(tiny: Tiny, method: SCRUB, monkeypatch: pytest.MonkeyPatch) -> tuple[list[tuple[str, float]], Model, Any]:
    """Each step's kind and loss on a model moved at random, in order; the moved model; and the announced total."""
    found: list[tuple[str, float]] = []
    moved: list[Any] = []

    def spy(model: Model, job: Any, descent: Descent, losses: Iterable[Callable[[], Tensor]], **given: Any) -> None:
        with torch.no_grad():
            for parameter in model.module.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=job.generator))
            found.extend((loss.func.__name__, float(loss())) for loss in losses)  # type: ignore[attr-defined]
        moved.extend([model.copy(), given["total"]])

    monkeypatch.setattr(scrub, "descend_on", spy)
    tiny.run(method)
    return found, *moved  # type: ignore[return-value]


def divergence(tiny: Tiny, moved: Model, rows: Any, temperature: float) -> float:
    found = []
    for (frozen, _), (logits, _) in zip(plain(tiny.target, rows), plain(moved, rows), strict=True):
        q, p = torch.softmax(frozen / temperature, -1), torch.softmax(logits / temperature, -1)
        found.append(temperature**2 * (q * (q / p).log()).sum(-1))
    return mean_over_positions(found)


def test_teacher_does_not_share_the_students_parameters(clouds: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two published frameworks return SCRUB's input: the teacher is a shallow copy, or the optimiser holds the teacher.

    With shared parameters KL is 0 for ever and forget rows have no gradient. Fails if: the frozen copy is the model.
    """
    found, _, _ = losses_of(clouds, SCRUB(max_epochs=1), monkeypatch)
    assert min(abs(loss) for kind, loss in found if kind == "leave") > 1e-3
    monkeypatch.undo()
    model, facts = clouds.run(SCRUB(gamma=0.0, alpha=0.0, max_epochs=1, descent=Descent(lr=1e-3, epochs=1, warmup=0.0)))
    assert facts.moved_entries > 0
    assert clouds.knows(model).forget_loss != clouds.knows(clouds.target).forget_loss


def test_passes_alternate_and_max_passes_end_first(clouds: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """30 forget rows are 2 steps of 16, 150 retain rows 10. Fails if: max passes go on after `max_epochs`, min passes
    stop with them, or the announced number of steps is wrong (the schedule would end early or late)."""
    found, _, total = losses_of(clouds, SCRUB(max_epochs=2, descent=Descent(epochs=3)), monkeypatch)
    assert [kind for kind, _ in found] == (["follow"] * 10 + ["leave"] * 2) * 2 + ["follow"] * 10
    assert total == len(found)


def test_a_bound_on_steps_cuts_every_pass_and_drops_none(clouds: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Passes of 10, 2, 10, 2, 10 steps in 20 become 5, 2, 5, 2, 6. Fails if: the first 20 are taken, so that the second max pass and
    the last min pass are lost; with retain passes longer than the bound no forget row would be seen at all."""
    bounded = Descent(epochs=3, max_steps=20)
    found, _, total = losses_of(clouds, SCRUB(max_epochs=2, descent=bounded), monkeypatch)
    kinds = ["follow"] * 5 + ["leave"] * 2
    assert [kind for kind, _ in found] == [*kinds, *kinds, *["follow"] * 6]
    assert total == 20
    monkeypatch.undo()
    model, facts = clouds.run(SCRUB(descent=Descent(lr=3e-3, epochs=5, max_steps=9)))
    assert facts.notes["optimiser_steps"] == 9
    assert clouds.knows(model).forget_loss > clouds.knows(clouds.target).forget_loss


@pytest.mark.parametrize("problem", ["people", "clouds"])
def test_losses_by_plain_computation(
    problem: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails if: a sign, weight or temperature is lost, or KL is taken under the student."""
    tiny: Tiny = request.getfixturevalue(problem)
    method = SCRUB(alpha=0.5, gamma=2.0, temperature=3.0, max_epochs=1, descent=Descent(epochs=1, batch_size=1000))
    ((_, follow), (_, leave)), moved, _ = losses_of(tiny, method, monkeypatch)
    assert leave == pytest.approx(-divergence(tiny, moved, tiny.forget, 3.0), rel=1e-4)
    own = mean_over_positions([nll(row) for row in plain(moved, tiny.retain)])
    assert follow == pytest.approx(0.5 * divergence(tiny, moved, tiny.retain, 3.0) + 2.0 * own, rel=1e-4)


def test_forgets_and_keeps(people: Tiny, clouds: Tiny) -> None:
    """Fails if: a max pass minimises, or the first max pass starts at the target itself, where the divergence has no
    gradient and its direction is rounding noise (two seeds of three then kept every forget row)."""
    people.removes(SCRUB, {"batch_size": 4, "lr": 2e-3}, forget=0.5, retain=0.7)
    clouds.removes(SCRUB, {"batch_size": 4}, forget=0.1, retain=0.9, seeds=(0, 1, 2))


OWN = (0, 1)
"""Method seeds of each problem seed."""


def retrained(case: str, seed: int) -> list[Evidence]:
    found = digits_gap(case, seed).evidence
    return [found[f"retrained-{i}"] for i in range(RETRAINED)]


def forget_error(case: str, seed: int, label: str) -> float:
    """In percent, over the method seeds."""
    return 100 - fmean(share_right(removed(case, seed, label, own), "forget") for own in OWN)


def short_of(seed: int, label: str) -> float:
    """How far the error on forget rows lies from the mean of ten retrained models, in points, over the method seeds."""
    again = fmean(share_right(one, "forget") for one in retrained("random", seed))
    return fmean(abs(share_right(removed("random", seed, label, own), "forget") - again) for own in OWN)


def mean_of(metric: Any, key: str, case: str, seed: int, label: str) -> float:
    return fmean(read(metric, removed(case, seed, label, own), key) for own in OWN)


def test_claim_raises_the_error_on_wrong_labels_towards_retrainings() -> None:
    """Seed 0: forget error 22 (retrained 25 to 29, do nothing 0, ascent 15), average gap 3.0 (do nothing 17.4, ascent 10.9).

    From the mean error of ten retrained models 5.8 points, ascent 12.1; retain 97.8% right.
    Fails if a max pass minimises, or the min passes stop: retain rows are lost.
    """
    nothing = digits_gap("random", 0).evidence["target"]
    errors = {name: forget_error("random", 0, name) for name in ("scrub", "ascent")}
    short = {name: short_of(0, name) for name in ("scrub", "ascent")}
    gaps = {name: mean_of(AverageGap(), "all", "random", 0, name) for name in ("scrub", "ascent")}
    kept = fmean(share_right(removed("random", 0, "scrub", own), "retain") for own in OWN)
    print("forget error", errors, "retrained", [100 - share_right(one, "forget") for one in retrained("random", 0)])
    print("short of it", short, "gaps", gaps, "do nothing", read(AverageGap(), nothing), "retain", kept)
    assert share_right(nothing, "forget") == 100
    assert short["scrub"] < min(8, short["ascent"])
    assert gaps["scrub"] < 0.5 * gaps["ascent"]
    assert gaps["scrub"] < 0.3 * read(AverageGap(), nothing)
    assert kept > 96


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_claim_over_five_problems_by_average_gap_and_not_by_distribution() -> None:
    """Nearer to retraining in average gap than fine-tuning and ascent, in forget error than ascent alone, further in distribution.

    A tenth of rows, a fifth of whose labels are wrong; five draws of rows and models, ten retrained models each; settings as
    docs/results/digits.md found them on two others. Distance of forget error: scrub 5.0, fine-tuning 7.4, ascent 17.2; paired
    difference with 95% interval to fine-tuning -2.3 [-5.0, .3], not told apart, to ascent -12.2 [-19.9, -4.5].
    Average gap 2.8 (fine-tuning 4.3, ascent 13.0, do nothing 18.9): -1.5 [-2.2, -.8] to fine-tuning, -10.2 [-13.7, -6.7] to
    ascent, and above that of one retrained model beside the others (1.1) by 1.7 [1.4, 2.0]. Bits of Jensen-Shannon divergence on forget
    rows: scrub .122, fine-tuning .098 (+.024 [.011, .036]), retrained .062, do nothing .294. At the settings of an earlier search the first
    two changed places: -3.9 [-7.1, -.6] by forget error, -1.0 [-2.4, .3] by gap.
    Fails as above, or if the divergence is read against the target.
    """
    names = ("scrub", "finetune", "ascent")
    short = {name: np.array([short_of(seed, name) for seed in SEEDS]) for name in names}
    gaps = {name: np.array([mean_of(AverageGap(), "all", "random", seed, name) for seed in SEEDS]) for name in names}
    away = {
        name: np.array([mean_of(JsDivergence(), "forget", "random", seed, name) for seed in SEEDS]) for name in names
    }
    again, again_away = (
        np.array([fmean(read(metric, one, key) for one in retrained("random", seed)) for seed in SEEDS])
        for metric, key in ((AverageGap(), "all"), (JsDivergence(), "forget"))
    )
    nothing, nothing_away = (
        fmean(read(metric, digits_gap("random", seed).evidence["target"], key) for seed in SEEDS)
        for metric, key in ((AverageGap(), "all"), (JsDivergence(), "forget"))
    )
    for name, found in (("short of retrained error", short), ("gaps", gaps), ("bits", away)):
        print(name, found, {one: mean_interval(values) for one, values in found.items()})
        print("  scrub less", {one: mean_interval(found["scrub"] - found[one]) for one in names[1:]})
    print("retrained", again, again.mean(), again_away, again_away.mean(), "do nothing", nothing, nothing_away)
    print("above retrained", mean_interval(gaps["scrub"] - again))
    by_error = mean_interval(short["scrub"] - short["finetune"])
    assert by_error.low < by_error.estimate < 0 < by_error.high
    to_ascent = mean_interval(short["scrub"] - short["ascent"])
    assert to_ascent.low < -5 < to_ascent.high < 0
    assert mean_interval(gaps["scrub"] - gaps["ascent"]).high < 0
    assert mean_interval(gaps["scrub"] - gaps["finetune"]).high < 0
    above = mean_interval(gaps["scrub"] - again)
    assert 0 < above.low < above.high < 3
    assert mean_interval(away["scrub"] - away["finetune"]).low > 0


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_claim_that_fine_tuning_fails_does_not_hold_on_a_class() -> None:
    """The threes, five problems: average gap of scrub .14 [.03, .25], of fine-tuning .08 [.07, .09], of ascent 3.1 [1.3, 4.8].

    Scrub less fine-tuning .06 [-.05, .18]; both get every forget row wrong on each problem, ascent 90 to 97%. Fails as above.
    """
    names = ("scrub", "finetune", "ascent")
    gaps = {name: np.array([mean_of(AverageGap(), "all", "class", seed, name) for seed in SEEDS]) for name in names}
    over = {name: mean_interval(values) for name, values in gaps.items()}
    print(gaps, over, "scrub less fine-tuning", mean_interval(gaps["scrub"] - gaps["finetune"]))
    print("forget error", {name: [forget_error("class", seed, name) for seed in SEEDS] for name in names})
    assert max(over["scrub"].high, over["finetune"].high) < 1 < over["ascent"].low
