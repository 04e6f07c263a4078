from __future__ import annotations

import numpy as np
import pytest
import torch
from classifiers import mean_interval
from digits_class import removed
from digits_random import REPORTED, digits_random
from tiny_problems import Tiny, mean_over_positions, nll, plain

from expunge.contract.job import Job
from expunge.contract.model import Batch
from expunge.contract.splits import Splits
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Row, Rows
from expunge.methods.random_label import RandomLabel, _drawn_once
from expunge.modalities.array_tasks import Regression
from expunge.modalities.tabular import Features, tabular_model


@pytest.mark.parametrize("problem", ["people", "clouds"])
def test_forget_targets_are_others_and_retain_targets_their_own(
    problem: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails if: retain rows are relabelled too, forget rows keep their label, or both are averaged together."""
    tiny: Tiny = request.getfixturevalue(problem)
    drawn: list[Batch] = []
    real = type(tiny.target).relabel

    def note(self: object, batch: Batch, generator: torch.Generator) -> Batch:
        drawn.append(real(self, batch, generator))
        return drawn[-1]

    monkeypatch.setattr(type(tiny.target), "relabel", note)
    seen = tiny.spied(RandomLabel(forget_weight=2.0, retain_weight=3.0), monkeypatch)
    rows = plain(seen.moved, seen.step.forget)
    others = drawn[0].targets.split(drawn[0].lengths().tolist())
    counted = [len(targets) - (problem == "people") for _, targets in rows]  # the end of a text is not relabelled
    assert all(bool((o[:n] != t[:n]).all()) for o, (_, t), n in zip(others, rows, counted, strict=False))
    push = mean_over_positions([nll((logits, o)) for (logits, _), o in zip(rows, others, strict=False)])
    keep = mean_over_positions([nll(row) for row in plain(seen.moved, seen.step.retain)])
    assert seen.loss == pytest.approx(2.0 * push + 3.0 * keep, rel=1e-4)


def test_a_forgotten_class_is_never_its_own_relabelling(clouds: Tiny) -> None:
    """SalUn's code may draw the true label. Fails if: it can come up in 3,000 draws, or a class never does."""
    batch = clouds.target.pack([*clouds.forget] * 100)
    drawn = clouds.target.relabel(batch, torch.Generator().manual_seed(0)).targets
    assert sorted(drawn.unique().tolist()) == [1, 2, 3, 4, 5]


def test_forgets_and_keeps(people: Tiny, clouds: Tiny) -> None:
    """Fails if: retain rows are relabelled too, or forget rows keep their label."""
    people.removes(RandomLabel, {"batch_size": 2}, forget=0.5, retain=0.8)
    clouds.removes(RandomLabel, {"batch_size": 4}, forget=0.1, retain=0.9)


def test_a_regression_forgets_towards_the_gaussian_of_its_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Gaussian amnesiac (P014) draws each forget row one target. Fails if: targets are drawn anew at the next step, on the scale of
    the rows, from retain rows' own targets, or rows change places between drawing and the step."""
    draw = torch.Generator().manual_seed(0)
    rows = Rows(tuple(Row(id=str(i), fields={"features": [float(i)], "label": 500.0 + i}) for i in range(300)))
    model = tabular_model("mlp", features=Features(width=1), task=Regression(mean=20.0, std=4.0), width=4)
    once = _drawn_once(model, rows, Job(generator=draw))
    drawn = torch.cat(once)
    assert [len(one) for one in once] == [1] * 300
    assert float(drawn.mean()) == pytest.approx(0, abs=0.2)
    assert float(drawn.std()) == pytest.approx(1, abs=0.15)
    tiny = Tiny(Splits.of(forget=rows[:40], retain=rows[40:]), model, Recipe())
    wanted = _drawn_once(model, rows[:40], Job(seed=0))
    for epoch in (0, 3):
        seen = tiny.spied(RandomLabel(redraw=False, forget_weight=1.0, retain_weight=0.0), monkeypatch, epoch=epoch)
        said = seen.moved.predict(seen.moved.pack(seen.step.forget))[:, 0]  # type: ignore[attr-defined]
        targets = torch.cat([wanted[int(row.id)] for row in seen.step.forget])
        loss = (((said - 20) / 4 - targets).square() / 2).mean()
        assert seen.loss == pytest.approx(loss.item(), rel=1e-4)


def test_labels_drawn_once_stay(people: Tiny, clouds: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a label is drawn again in a later epoch: relabel is asked once for 15 forget rows and never by a step."""
    asked = []
    real = type(clouds.target).relabel
    monkeypatch.setattr(
        type(clouds.target),
        "relabel",
        lambda self, batch, generator: asked.append(batch.size) or real(self, batch, generator),
    )
    clouds.run(RandomLabel(redraw=False))
    assert asked == [len(clouds.forget)]
    people.removes(RandomLabel, {"batch_size": 2, "redraw": False}, forget=0.5, retain=0.8)


def below_retrained(seed: int) -> np.ndarray:
    """Holdout and test accuracy, in points below ten retrained models: after wrong labels alone, and with retain rows beside them."""
    problem, again = digits_random(seed, 0.0)
    alone, beside = (removed(one, problem, seed=seed) for one in (RandomLabel(retain_weight=0.0), RandomLabel()))
    print(seed, "retrained", again, "alone", alone, "beside retain rows", beside)
    assert alone.forget < 40
    return np.array([[again.holdout - one.holdout, again.test - one.test] for one in (alone, beside)])


def test_claim_random_labels_alone_hurt_the_holdout() -> None:
    """Holdout rows come to 10% and test rows to 11% on seed 0 (ten retrained models 96 and 98%).

    Fails if retain rows ride along at weight 0.
    """
    alone, beside = below_retrained(0)
    assert alone.min() > 50
    assert beside.max() < 6


@pytest.mark.slow
def test_claim_random_labels_alone_hurt_the_holdout_over_five_draws() -> None:
    """Holdout rows come to 5 to 10%, 89.7 points [86.1, 93.3] below ten retrained models, test rows 88.3 [84.0, 92.6] below.

    With retain rows beside them .1 [-.2, .5] and .3 [-.7, 1.3] below. Fails as above.
    """
    found = np.array([below_retrained(seed) for seed in REPORTED])
    alone, beside = ([mean_interval(column) for column in found[:, i].T] for i in (0, 1))
    print(alone, beside)
    assert min(one.low for one in alone) > 50
    assert max(one.high for one in beside) < 6
