from __future__ import annotations

import pytest
import torch
from digits_class import Accuracies
from digits_seeds import REPORTED, digits_of
from poisoned_class import after, poisoned
from tiny_problems import Tiny, mean_over_positions, nll, plain
from told_members import membership
from torch import nn

from expunge.contract.apply import unlearn
from expunge.contract.job import Job
from expunge.contract.registry import build
from expunge.engine.descend import Descent
from expunge.methods.finetune import Finetune
from expunge.methods.l1_sparse import L1Sparse, l1_norm


def test_l1_norm_by_hand() -> None:
    """|1| + |-2| + |3| = 6. Fails if: values are squared, averaged, or not made positive."""
    assert l1_norm([nn.Parameter(torch.tensor([1.0, -2.0])), nn.Parameter(torch.tensor([[3.0]]))]).item() == 6.0


@pytest.mark.parametrize(("epoch", "share"), [(0, 1.0), (1, 0.75), (3, 0.25)])
def test_penalty_decays_linearly(clouds: Tiny, monkeypatch: pytest.MonkeyPatch, epoch: int, share: float) -> None:
    """In epoch e of 4 its weight is alpha (1 - e/4). Fails if: it stays, or falls to zero before the last epoch."""
    seen = clouds.spied(L1Sparse(alpha=0.01, descent=Descent(epochs=4)), monkeypatch, epoch=epoch)
    norm = sum(float(p.detach().abs().sum()) for p in seen.moved.module.parameters())
    own = mean_over_positions([nll(row) for row in plain(seen.moved, seen.step.retain)])
    assert seen.loss == pytest.approx(own + 0.01 * share * norm, rel=1e-4)


def test_weights_become_smaller_than_by_fine_tuning(clouds: Tiny) -> None:
    """Fails if: the penalty has no gradient."""
    norms = []
    for alpha in (0.0, 1e-2):
        model, _ = clouds.run(L1Sparse(alpha=alpha, descent=Descent(lr=1e-2, epochs=5)))
        norms.append(float(l1_norm(model.module.parameters()).detach()))
    assert norms[1] < 0.7 * norms[0]


def test_forgets_and_keeps_more_than_fine_tuning(people: Tiny, clouds: Tiny) -> None:
    """The paper's claim, at one learning rate. Fails if: the penalty is lost."""
    for tiny, settings in ((people, {"batch_size": 4}), (clouds, {"lr": 1e-2})):
        sparse = tiny.after(build(L1Sparse, settings, where="test"))
        dense = tiny.after(build(L1Sparse, {**settings, "alpha": 0.0}, where="test"))
        assert sparse.forget <= 0.3
        assert sparse.retain >= 0.9
        assert sparse.forget_loss > dense.forget_loss


def slowly(kind: type, seed: int) -> tuple[Accuracies, float, float]:
    """At a learning rate a sixth of training's: accuracies, their gap to retrained, and that of the share called non-members, in points."""
    problem, retrained = digits_of(seed)
    method = kind(descent=Descent(lr=1e-3, epochs=10))
    model, _ = unlearn(method, problem.target, problem.splits, job=Job(seed=0))
    found = Accuracies.of(model, problem)
    attacked, again = (membership(one, problem.splits).efficacy for one in (model, *problem.retrained))
    return found, found.gap(retrained), abs(attacked - again)


def test_claim_closes_more_of_the_gap_than_fine_tuning_on_digits() -> None:
    """A class, at a learning rate a sixth of training's: gap to retrained 22.0 by fine-tuning, .2 with the penalty; a membership attack calls 46 and
    100% of the forget rows non-members (retrained 100, do nothing 0).

    At a third of it fine-tuning leaves between none and 35% of the class, by seed and by processor: nothing to test on.

    Fails if the penalty has no gradient, or its weight is gone from the start.
    """
    (dense, dense_gap, dense_members), (sparse, gap, members) = (slowly(kind, 0) for kind in (Finetune, L1Sparse))
    assert dense.forget > 20
    assert gap < 0.5 * dense_gap
    assert sparse.retain > 98.5
    assert members < 5
    assert dense_members > 10


@pytest.mark.slow
def test_claim_over_targets() -> None:
    """Three targets, each; called non-members by fine-tuning 46, 46, 53%, with the penalty 100 on each (retrained 100). Fails as above in any of them."""
    for seed in REPORTED:
        (_, dense_gap, dense_members), (_, gap, members) = (slowly(kind, seed) for kind in (Finetune, L1Sparse))
        print(seed, dense_gap, gap, dense_members, members)
        assert gap < 0.5 * dense_gap
        assert members < 5
        assert dense_members > 10


@pytest.mark.slow
def test_claim_it_lowers_a_backdoors_success_more_than_fine_tuning() -> None:
    """P029: patched digits, all 60 manipulated rows known, seeds 0 to 2, success before 99.8, 98.8, 97.3%. Clean accuracy stays within 1.5 points.

    Success by fine-tuning, with the penalty: at lr 1e-3 86.6 and 8.3, 75.8 and 6.2, 82.1 and 8.7; at 5e-3 4.9 and .4, 4.8 and .2, 3.7 and 0. Fails if: the penalty is lost.
    """
    for seed in (0, 1, 2):
        of = poisoned(seed)
        for lr in (1e-3, 5e-3):
            descent = Descent(lr=lr, epochs=10)
            dense, sparse = (after(kind(descent=descent), of, 1.0)[0] for kind in (Finetune, L1Sparse))
            print(seed, lr, dense, sparse)
            assert sparse["success"] < dense["success"]
            assert sparse["clean"] > dense["clean"] - 1.5
        assert sparse["success"] < 5
