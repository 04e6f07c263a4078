"""Pruning first, then unlearning: fine-tuning a sparse model against fine-tuning a dense one."""

from __future__ import annotations

import numpy as np
import pytest
from classifiers import mean_interval
from digits_class import Accuracies, retrained
from digits_seeds import REPORTED, digits_of
from locator_models import linear, table
from poisoned_class import pruned_less_dense
from told_members import mean_membership, membership

from expunge.contract.apply import locate, unlearn
from expunge.contract.job import Job
from expunge.contract.mask import Mask
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.descend import Descent
from expunge.engine.fit import fit
from expunge.locators.one_shot_pruning import OneShotPruning
from expunge.methods.finetune import Finetune
from expunge.modalities.vision import vision_model
from expunge.sources.digits import Digits
from expunge.testbeds.problem import Problem, train_problem
from expunge.testbeds.vision import IMAGES, NOISE_RECIPE

SPARSE = OneShotPruning(sparsity=0.9)


def tuned(problem: Problem, lr: float, mask: Mask | None) -> Model:
    method = Finetune(descent=Descent(lr=lr, epochs=10))
    return unlearn(method, problem.target, problem.splits, job=Job(seed=0, mask=mask))[0]


def finetuned(problem: Problem, lr: float, mask: Mask | None) -> Accuracies:
    return Accuracies.of(tuned(problem, lr, mask), problem)


def retrained_sparse(problem: Problem, mask: Mask) -> Accuracies:
    """Mean over ten models of new weights with the same weights pruned, trained on retain rows by the recipe and the next seeds."""
    found = []
    for seed in range(problem.recipe.seed + 1, problem.recipe.seed + 11):
        blank: Model = problem.target.fresh(seed)
        mask.prune(blank.module)
        recipe = problem.recipe.model_copy(update={"seed": seed})
        model = fit(blank, problem.splits.rows["retain"], recipe, job=Job(seed=seed, mask=mask))
        found.append(Accuracies.of(model, problem))
    return Accuracies.mean(found)


def members_away(models: list[Model], problem: Problem) -> list[float]:
    """How far the share of forget rows that a membership attack calls non-members is from the retrained models', in points."""
    again = mean_membership(problem.retrained, problem.splits).efficacy
    return [abs(membership(model, problem.splits).efficacy - again) for model in models]


def test_the_smallest_in_size_are_pruned() -> None:
    """|W| = [[.1, 3], [2, .5]], half pruned. Fails if signs decide, the largest go, or the sparsity is what stays."""
    splits = Splits.of(forget=table("f", ((1.0, 1.0), 0)))
    model = linear([[0.1, -3.0], [2.0, -0.5]])
    mask = locate(OneShotPruning(sparsity=0.5), model, splits)
    assert mask.prunes
    assert mask.entries["weight"].tolist() == [[False, True], [True, False]]
    most = locate(OneShotPruning(sparsity=0.75), model, splits)
    assert most.entries["weight"].tolist() == [[False, True], [False, False]]
    assert model.module.weight.flatten().tolist() == pytest.approx([0.1, -3.0, 2.0, -0.5])


def test_claim_fine_tuning_a_sparse_model_forgets_what_a_dense_one_keeps() -> None:
    """At a learning rate a sixth of training's, where dense fine-tuning leaves two thirds of the class. Gap to ten retrained models
    (dense) 22.1 -> .1; called non-members by a membership attack 46 -> 100% of the forget rows (retrained 100, do nothing 0).

    Fails if pruned weights are not zeroed before the method, or come back.
    """
    problem, again = digits_of(0)
    models = [tuned(problem, 1e-3, mask) for mask in (None, locate(SPARSE, problem.target, problem.splits))]
    dense, sparse = (Accuracies.of(model, problem) for model in models)
    away = members_away(models, problem)
    print(dense, dense.gap(again), sparse, sparse.gap(again), away)
    assert away[1] < 5
    assert away[0] > 10
    assert dense.forget > 20
    assert sparse.forget < 3
    assert sparse.gap(again) < 0.5 * dense.gap(again)
    assert sparse.retain > 98.5


@pytest.mark.slow
def test_claim_over_five_targets_and_where_there_is_nothing_to_gain() -> None:
    """Gap to ten retrained models at lr 1e-3: dense 20.0 [14.2, 25.9], pruned .19 [.15, .23], paired difference -19.8 [-25.7, -14.0].

    Its gap to ten models retrained with the same weights pruned is smaller than the dense one's to dense ones by 19.4 [13.6, 25.3].
    At 8e-3 dense fine-tuning is there already: -.13 [-.18, -.07]. Pruned alone the target still knows 26 to 89% of the class. The share
    of forget rows called non-members is 45 [23, 67] points from the retrained models' dense, 0 on each pruned. Fails if pruning alone is
    what forgets.
    """
    gaps, away = [], []
    for seed in REPORTED:
        problem, again = digits_of(seed)
        mask = locate(SPARSE, problem.target, problem.splits)
        pruned = problem.target.copy()
        mask.prune(pruned.module)
        alone = Accuracies.of(pruned, problem)
        print(seed, alone)
        assert alone.forget > 20
        models = [tuned(problem, 1e-3, one) for one in (None, mask)]
        away.append(members_away(models, problem))
        dense, sparse = (Accuracies.of(model, problem) for model in models)
        high = [finetuned(problem, 8e-3, one).gap(again) for one in (None, mask)]
        found = (dense.gap(again), sparse.gap(again), sparse.gap(retrained_sparse(problem, mask)), *high)
        gaps.append(found)
    dense, sparse, to_sparse, high, high_sparse = np.array(gaps).T
    dense_members, members = np.array(away).T
    for name, values in {
        "dense": dense,
        "sparse": sparse,
        "paired": sparse - dense,
        "to sparse retrained": to_sparse - dense,
        "at 8e-3": high_sparse - high,
        "members": members,
        "dense members": dense_members,
    }.items():
        print(name, mean_interval(values))
    assert mean_interval(sparse - 0.5 * dense).high < 0
    assert mean_interval(to_sparse - 0.6 * dense).high < 0
    assert -1 < mean_interval(high_sparse - high).low < mean_interval(high_sparse - high).high < 1
    assert mean_interval(members).high < 5
    assert mean_interval(dense_members).low > 10


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_claim_over_five_small_cnns() -> None:
    """Gap to ten retrained models at lr 1e-3: dense 29.1 [27.7, 30.5], pruned 18.9 [12.5, 25.4], paired difference -10.1 [-16.6, -3.7].

    Nearer, by less than on the MLP: not shown to be half of the way (4.4 [-2.0, 10.8] more than half of the dense gap). The share called
    non-members is 72 [63, 80] points from the retrained models' dense, 19 [-1, 39] pruned. Fails if pruned weights come back.
    """
    gaps, away = [], []
    for seed in REPORTED:
        problem, again = digits_of(seed, "cnn")
        models = [tuned(problem, 1e-3, one) for one in (None, locate(SPARSE, problem.target, problem.splits))]
        gaps.append([Accuracies.of(model, problem).gap(again) for model in models])
        away.append(members_away(models, problem))
    (dense, sparse), (dense_members, members) = np.transpose(gaps), np.transpose(away)
    for values in (dense, sparse, sparse - dense, dense_members, members, members - dense_members):
        print(mean_interval(values))
    half = mean_interval(sparse - 0.5 * dense)
    assert half.low < 0 < half.high
    assert mean_interval(sparse - dense).high < 0
    assert mean_interval(members - dense_members).high < 0


@pytest.mark.slow
def test_claim_does_not_reach_wrong_labels() -> None:
    """A random tenth of rows of which a fifth bear wrong labels, five draws, at the rate that suits dense fine-tuning best.

    Gap to ten retrained models dense 2.2 [1.5, 2.8], pruned 3.4 [2.6, 4.1]: it grows by 1.2 [.1, 2.3]. Fails if it shrinks here too: then
    `differs` is wrong.
    """
    dense, sparse = [], []
    for seed in REPORTED:
        found = Digits(forget="random=0.1", label_noise=0.2, holdout=1.0, seed=seed).run()
        splits = Splits.of(**{name: found[name] for name in ("forget", "retain", "holdout", "test")})
        blank = vision_model("mlp", images=IMAGES, classes=10, seed=100, width=256, depth=1)
        recipe = NOISE_RECIPE.model_copy(update={"seed": seed})
        problem = train_problem("digits-noise", splits, blank, recipe, retrained=10)
        mask, again = locate(SPARSE, problem.target, problem.splits), retrained(problem)
        dense.append(finetuned(problem, 8e-3, None).gap(again))
        sparse.append(finetuned(problem, 8e-3, mask).gap(again))
    print(mean_interval(dense), mean_interval(sparse), mean_interval(np.subtract(sparse, dense)))
    assert mean_interval(np.subtract(sparse, dense)).low > 0


@pytest.mark.slow
def test_claim_pruning_lowers_a_backdoors_success_at_a_low_rate_and_raises_it_at_a_higher_one() -> None:
    """P029: patched digits, five draws, all 60 manipulated rows known, 95% of the weights pruned.

    Distance of success to ten retrained models' (0 to .04) after fine-tuning dense and pruned, with 95% intervals: at lr 1e-3 82.1
    [76.3, 87.9] and 38.4 [28.6, 48.1], paired -43.7 [-50.6, -36.8]; at 5e-3 6.2 [3.1, 9.3] and 17.5 [11.6, 23.4], 11.3 [4.9, 17.6].
    Where dense fine-tuning is enough, fewer weights unlearn a backdoor less. Fails if: pruned weights come back, or pruning helps at
    both rates: then `differs` is wrong.
    """
    low, high = pruned_less_dense(OneShotPruning())
    assert low.high < -10
    assert high.low > 3


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_claim_pruning_a_small_cnn_and_a_backdoors_success() -> None:
    """As above on small CNNs, where pruning raises it at both rates: 84.0 [73.4, 94.5] and 97.8 [93.9, 101.7] at lr 1e-3, paired 13.8 [2.8,
    24.8]; 4.9 [2.3, 7.4] and 68.1 [56.6, 79.5] at 5e-3, 63.2 [50.5, 75.9].

    Fails if: pruned weights come back, or pruning lowers it here too.
    """
    low, high = pruned_less_dense(OneShotPruning(), "cnn")
    assert low.low > 0
    assert high.low > 10
