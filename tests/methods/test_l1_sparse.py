from __future__ import annotations

import numpy as np
import pytest
import torch
from classifiers import mean_interval
from digits_class import Accuracies
from digits_seeds import REPORTED, digits_of
from poisoned_class import SEEDS, backdoor_gap, measured, poisoned
from tiny_problems import Tiny, mean_over_positions, nll, plain
from told_members import mean_membership, membership
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


def slowly(kind: type, seed: int, network: str = "mlp") -> tuple[Accuracies, float, float]:
    """At a learning rate a sixth of training's: accuracies, their gap to retrained, and that of the share called non-members, in points."""
    problem, retrained = digits_of(seed, network)
    method = kind(descent=Descent(lr=1e-3, epochs=10))
    model, _ = unlearn(method, problem.target, problem.splits, job=Job(seed=0))
    found, again = Accuracies.of(model, problem), mean_membership(problem.retrained, problem.splits)
    return found, found.gap(retrained), abs(membership(model, problem.splits).efficacy - again.efficacy)


def test_claim_closes_more_of_the_gap_than_fine_tuning_on_digits() -> None:
    """A class, at a learning rate a sixth of training's: gap to ten retrained models 22.1 by fine-tuning, .1 with the penalty.

    A membership attack calls 46 and 100% of the forget rows non-members (retrained 100, do nothing 0).

    At a third of it fine-tuning leaves between none and 35% of the class, by seed and by processor: nothing to test on.

    Fails if the penalty has no gradient, or its weight is gone from the start.
    """
    (dense, dense_gap, dense_members), (sparse, gap, members) = (slowly(kind, 0) for kind in (Finetune, L1Sparse))
    print(dense, dense_gap, dense_members, sparse, gap, members)
    assert dense.forget > 20
    assert gap < 0.5 * dense_gap
    assert sparse.retain > 98.5
    assert members < 5
    assert dense_members > 10


@pytest.mark.slow
def test_claim_over_five_targets() -> None:
    """Gap to ten retrained models by fine-tuning 12.4 to 24.8, with the penalty .07 to .14: paired difference -19.9 [-25.7, -14.1].

    The share of forget rows called non-members lies 45 [23, 67] points from the retrained models' by fine-tuning, 0 on each with the
    penalty. Fails as above.
    """
    dense, sparse = (np.array([slowly(kind, seed)[1:] for seed in REPORTED]) for kind in (Finetune, L1Sparse))
    print(*(mean_interval(column) for one in (dense, sparse, sparse - dense) for column in one.T))
    assert mean_interval(sparse[:, 0] - 0.5 * dense[:, 0]).high < 0
    assert mean_interval(sparse[:, 1]).high < 5
    assert mean_interval(dense[:, 1]).low > 10


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_claim_over_five_small_cnns() -> None:
    """Gap to ten retrained models by fine-tuning 29.1 [27.7, 30.5], with the penalty .13 [-.06, .31]; paired -29.0 [-30.5, -27.4].

    The share of forget rows called non-members lies 72 [63, 80] points from the retrained models' by fine-tuning, 0 on each with the
    penalty. Fails as above.
    """
    dense, sparse = (np.array([slowly(kind, seed, "cnn")[1:] for seed in REPORTED]) for kind in (Finetune, L1Sparse))
    print(*(mean_interval(column) for one in (dense, sparse, sparse - dense) for column in one.T))
    assert mean_interval(sparse[:, 0] - 0.5 * dense[:, 0]).high < 0
    assert mean_interval(sparse[:, 1]).high < 5
    assert mean_interval(dense[:, 1]).low > 10


def backdoor_and_clean(kind: type, lr: float, seed: int, network: str) -> tuple[float, float]:
    """How far a backdoor's success is from retraining's, all manipulated rows known, and clean accuracy, in percent."""
    of = poisoned(seed, network=network)
    model, _ = unlearn(kind(descent=Descent(lr=lr, epochs=10)), of.target, of.splits(1.0), job=Job(seed=seed))
    return backdoor_gap(model, seed, network), measured(model, of)["clean"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("network", ["mlp", "cnn"])
def test_claim_it_lowers_a_backdoors_success_more_than_fine_tuning(network: str) -> None:
    """P029: patched digits, five draws, all 60 manipulated rows known. Distance of success to ten retrained models' (0 to .04).

    By fine-tuning and with the penalty, 95% intervals: at lr 1e-3 82.1 [76.3, 87.9] and 8.3 [5.6, 11.0], paired -73.8 [-77.7, -69.9]; at
    5e-3 6.2 [3.1, 9.3] and .3 [-.1, .7], -6.0 [-8.9, -3.0]. Clean accuracy: 0 [-.6, .6] and -.3 [-.8, .2] points. On small CNNs: 84.0
    [73.4, 94.5] and 59.3 [43.8, 74.7], -24.7 [-42.4, -7.0]; 4.9 [2.3, 7.4] and 1.6 [.4, 2.8], -3.2 [-5.6, -.8]; clean -.3 [-.6, .1] and
    0 [-.4, .4]. Fails if: the penalty is lost.
    """
    for lr in (1e-3, 5e-3):
        dense, sparse = (
            np.array([backdoor_and_clean(kind, lr, seed, network) for seed in SEEDS]) for kind in (Finetune, L1Sparse)
        )
        print(lr, *(mean_interval(column) for one in (dense, sparse, sparse - dense) for column in one.T))
        assert mean_interval((sparse - dense)[:, 0]).high < 0
        assert mean_interval((sparse - dense)[:, 1]).low > -1.5
    assert mean_interval(sparse[:, 0]).high < 5
