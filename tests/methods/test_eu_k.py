from __future__ import annotations

from collections.abc import Iterable
from statistics import fmean

import numpy as np
import pytest
import torch
from classifiers import mean_interval
from digits_class import Accuracies, accuracy, digits_class, removed, retrained
from digits_seeds import REPORTED, digits_of
from tiny_problems import Tiny, mean_over_rows, nll, plain
from torch import nn

from expunge.contract.apply import unlearn
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.block_lora import few_of_each
from expunge.engine.descend import Descent
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Row, Rows
from expunge.methods.eu_k import EUK
from expunge.modalities.vision import Images, vision_model
from expunge.testbeds.problem import Problem
from expunge.testbeds.vision import class_problem


def picture(i: int) -> Row:
    return Row(id=f"p{i}", fields={"image": torch.full((4, 4), i / 7).numpy(), "label": i % 3})


@pytest.mark.parametrize("k", [1, 2])
def test_every_parameter_of_the_last_layers_is_drawn_anew(k: int) -> None:
    """ERASURE's eu_k resets only direct children that can reset themselves: a stage that is a Sequential keeps its weights.

    With a learning rate of 0 nothing but the drawing is left. Fails if: a parameter inside the block's Sequential, or the norm before
    the head, keeps what the target had; one below is drawn too; or the drawing ignores the run's seed.
    """
    target = vision_model("vit", images=Images(shape=(1, 4, 4)), classes=3, width=8, depth=2, heads=2, seed=5)
    assert isinstance(target.module.blocks[1].feed_forward, nn.Sequential)
    with torch.no_grad():
        for parameter in target.module.parameters():
            parameter.add_(1.0)  # norms and biases, too, are now unlike newly drawn ones
    splits = Splits.of(forget=Rows((picture(0),)), retain=Rows(tuple(picture(i) for i in range(1, 7))))
    model, _ = unlearn(EUK(k=k, descent=Descent(lr=0.0, epochs=1)), target, splits, job=Job(seed=9))
    fresh, old = (dict(one.module.named_parameters()) for one in (target.fresh(Job(seed=9).fresh_seed), target))
    last = ("head.",) if k == 1 else ("blocks.1.", "norm.", "head.")
    for name, parameter in model.module.named_parameters():
        wanted, other = (fresh, old) if name.startswith(last) else (old, fresh)
        assert torch.equal(parameter, wanted[name]), name
        assert not torch.equal(parameter, other[name]), name


def test_loss_is_of_the_retain_rows(clouds: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if: forget rows are trained on, or the sign is turned."""
    seen = clouds.spied(EUK(), monkeypatch)
    assert len(seen.step.forget) == 0
    assert seen.loss == pytest.approx(
        mean_over_rows([nll(row) for row in plain(seen.moved, seen.step.retain)]), rel=1e-4
    )


def retaught(problem: Problem, models: Iterable[Model]) -> list[float]:
    """Accuracy on all forget rows, in percent, of each model with a new head trained on 20 of them beside the retain rows."""
    rows = problem.splits.rows
    taught = Splits.of(forget=rows["holdout"], retain=Rows((*rows["forget"][:20], *rows["retain"])))
    return [Accuracies.of(unlearn(EUK(), one, taught, job=Job(seed=1))[0], problem).forget for one in models]


def test_claim_a_new_head_forgets_a_class_and_the_layers_below_nothing() -> None:
    """Measured, 3 seeds: forget 0, retain 100, test 99.1 to 99.4: gap to ten retrained models .24 to .34, do nothing 33.6.

    The frozen layers forget nothing: a head trained on 20 of the threes beside the retain rows finds all 95, one on the layers of a
    retrained model 65% of them. Fails if: the head is not drawn anew (at a third of training's rate an old one keeps 69%), or the layers
    below lose what they know.
    """
    problem = digits_class()
    truth = retrained(problem)
    for seed in range(3):
        after = removed(EUK(), problem, seed=seed)
        assert after.forget <= 5
        assert after.retain >= 99.5
        print(after, after.gap(truth))
        assert after.gap(truth) <= 1.5
    slow = Descent(lr=2e-3, epochs=10, batch_size=64)
    assert removed(EUK(descent=slow), problem, seed=0).forget <= 5
    forgotten, _ = unlearn(EUK(), problem.target, problem.splits, job=Job(seed=0))
    probed, control = retaught(problem, (forgotten, problem.retrained[0]))
    print(probed, control)
    assert probed >= 90
    assert probed >= control + 15


@pytest.mark.slow
def test_claim_over_five_targets() -> None:
    """EU-1 answers no three, gap to ten retrained models .1 [0, .2] (do nothing 33.5 [33.4, 33.7]); all retain rows are kept, on five
    targets.

    A head taught anew with 20 threes finds 99.2% [98.1, 100.3] of all 95, on the layers of ten retrained models 68.9 [67.6, 70.1]: paired
    difference 30.3 [27.9, 32.6]. Fails if: a new head answers 3, or the layers below lose what they know.
    """
    found = []
    for seed in REPORTED:
        problem, truth = digits_of(seed)
        forgotten, _ = unlearn(EUK(), problem.target, problem.splits, job=Job(seed=0))
        after, before = (Accuracies.of(one, problem) for one in (forgotten, problem.target))
        probed, *controls = retaught(problem, (forgotten, *problem.retrained))
        found.append((after.forget, after.retain, after.gap(truth), before.gap(truth), probed, fmean(controls)))
    forget, retain, gap, nothing, probed, control = np.array(found).T
    bounds = {"forget": forget, "gap": gap, "nothing": nothing, "probed": probed, "paired": probed - control}
    print(forget, retain, {name: mean_interval(values) for name, values in bounds.items()}, mean_interval(control))
    assert forget.max() <= 5
    assert retain.min() >= 99.5
    assert mean_interval(gap).high <= 1.5
    assert mean_interval(probed).low >= 90
    assert mean_interval(probed - control).low >= 15


def test_a_head_drawn_as_the_targets_was_knows_the_class_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A vision transformer trained under seed 0, then EU-k under seed 0 with four retain rows a class.

    If the head is that which training began with, layers below fit it still: all threes are answered 3 again (100%). Drawn under a seed of
    its own it answers none. Fails if the head is drawn under the method's seed.
    """
    torch.set_num_threads(1)
    problem = class_problem("vit", Recipe(epochs=15, lr=4e-3, batch_size=64), retrained=0, patch=4, width=32, depth=4)
    rows = problem.splits.rows
    few = Splits.of(forget=rows["forget"], retain=few_of_each(rows["retain"], 4, 0))

    def left() -> float:
        return accuracy(unlearn(EUK(), problem.target, few, job=Job(seed=problem.recipe.seed))[0], rows["forget"])

    own = left()
    monkeypatch.setattr(Job, "fresh_seed", property(lambda job: job.seed))
    assert (own < 60, left() > 90) == (True, True)
