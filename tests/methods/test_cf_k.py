from __future__ import annotations

import numpy as np
import pytest
import torch
from classifiers import mean_interval
from digits_class import Accuracies, digits_class, removed, retrained
from digits_seeds import REPORTED, digits_of
from tiny_problems import Tiny, mean_over_rows, nll, plain

from expunge.engine.descend import Descent
from expunge.methods.cf_k import CFK
from expunge.methods.eu_k import EUK


def test_loss_is_of_the_retain_rows(clouds: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if: forget rows are trained on, or the sign is turned."""
    seen = clouds.spied(CFK(), monkeypatch)
    assert len(seen.step.forget) == 0
    assert seen.loss == pytest.approx(
        mean_over_rows([nll(row) for row in plain(seen.moved, seen.step.retain)]), rel=1e-4
    )


@pytest.mark.parametrize(("k", "moving"), [(1, {"head"}), (2, {"head", "blocks"})])
def test_the_layers_below_keep_every_bit(clouds: Tiny, k: int, moving: set[str]) -> None:
    """Fails if: the optimiser is over another model's parameters, or all of them; weight decay moves frozen ones."""
    model, _ = clouds.run(CFK(k=k, descent=Descent(lr=0.01, epochs=2, weight_decay=0.1)))
    before = dict(clouds.target.module.named_parameters())
    moved = {name.split(".")[0] for name, p in model.module.named_parameters() if not torch.equal(p, before[name])}
    assert moved == moving
    assert all(parameter.requires_grad for parameter in model.module.parameters())


def test_claim_fine_tuning_the_head_forgets_less_than_drawing_it_anew() -> None:
    """At a third of training's rate, where the head alone is trained on for ten passes: CF-1 keeps 67 to 75% of the class, EU-1 none.

    Three method seeds. At the default rate CF-1 keeps 1.1% (gap to ten retrained models .7; do nothing 33.6).
    Fails if: the head is not trained, or forget rows are trained on.
    """
    problem = digits_class()
    truth, nothing = retrained(problem), Accuracies.of(problem.target, problem)
    slow = Descent(lr=2e-3, epochs=10, batch_size=64)
    several = [
        (removed(CFK(descent=slow), problem, seed=s), removed(EUK(descent=slow), problem, seed=s)) for s in range(3)
    ]
    for tuned, anew in several:
        assert anew.forget + 30 < tuned.forget < nothing.forget
        assert min(tuned.retain, anew.retain) >= 99
    usual = removed(CFK(), problem, seed=0)
    print(several, usual, usual.gap(truth), nothing.gap(truth))
    assert usual.retain >= 99.5
    assert usual.gap(truth) < 0.3 * nothing.gap(truth)


@pytest.mark.slow
def test_claim_over_five_targets() -> None:
    """At the low rate CF-1 keeps 73.7% [64.7, 82.6] of the class, EU-1 none.

    Gap to ten retrained models 24.8 [21.8, 27.7] and .1 [0, .3], paired difference 24.6 [21.6, 27.6]. At the default rate CF-1 keeps 6.9%
    [-10.2, 24.1], gap 2.5 [-3.2, 8.2]: targets differ much; below .3 of doing nothing's (33.5). Fails as above.
    """
    slow, read = Descent(lr=2e-3, epochs=10, batch_size=64), []
    for seed in REPORTED:
        problem, truth = digits_of(seed)
        after = [removed(method, problem, seed=0) for method in (CFK(descent=slow), EUK(descent=slow), CFK())]
        after.append(Accuracies.of(problem.target, problem))
        read.append([(one.forget, one.retain, one.gap(truth)) for one in after])
    tuned, anew, usual, nothing = np.array(read).swapaxes(0, 1)
    names = ("forget", "retain", "gap")
    for label, values in {
        "CF-1": tuned,
        "EU-1": anew,
        "less EU-1": tuned - anew,
        "usual": usual,
        "nothing": nothing,
    }.items():
        print(label, *((name, mean_interval(column)) for name, column in zip(names, values.T, strict=True)))
    assert mean_interval(tuned[:, 0] - anew[:, 0]).low > 30
    assert mean_interval(tuned[:, 0] - nothing[:, 0]).high < 0
    assert mean_interval(tuned[:, 2] - anew[:, 2]).low > 0
    assert min(tuned[:, 1].min(), anew[:, 1].min()) >= 99
    assert usual[:, 1].min() >= 99.5
    assert mean_interval(usual[:, 2] - 0.3 * nothing[:, 2]).high < 0
