"""Pruning first, then unlearning: fine-tuning a sparse model against fine-tuning a dense one."""

from __future__ import annotations

from statistics import fmean

import pytest
from digits_class import Accuracies
from digits_seeds import REPORTED, digits_of
from locator_models import linear, table

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


def finetuned(problem: Problem, lr: float, mask: Mask | None, *, seed: int = 0) -> Accuracies:
    method = Finetune(descent=Descent(lr=lr, epochs=10))
    model, _ = unlearn(method, problem.target, problem.splits, job=Job(seed=seed, mask=mask))
    return Accuracies.of(model, problem)


def retrained_sparse(problem: Problem, mask: Mask, seed: int) -> Accuracies:
    """A model of new weights with the same weights pruned, trained on retain rows by the recipe."""
    blank: Model = problem.target.fresh(seed)
    mask.prune(blank.module)
    recipe = problem.recipe.model_copy(update={"seed": seed})
    return Accuracies.of(fit(blank, problem.splits.rows["retain"], recipe, job=Job(seed=seed, mask=mask)), problem)


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
    """At a learning rate a sixth of training's, where dense fine-tuning leaves two thirds of the class. Gap to retrained (dense) 22.0 -> .2.

    Fails if pruned weights are not zeroed before the method, or come back.
    """
    problem, retrained = digits_of(0)
    dense = finetuned(problem, 1e-3, None)
    sparse = finetuned(problem, 1e-3, locate(SPARSE, problem.target, problem.splits))
    assert dense.forget > 20
    assert sparse.forget < 3
    assert sparse.gap(retrained) < 0.5 * dense.gap(retrained)
    assert sparse.retain > 98.5


@pytest.mark.slow
def test_claim_over_targets_and_where_there_is_nothing_to_gain() -> None:
    """Three targets. The gap shrinks to a dense and to an equally sparse retrained model at a low learning rate; at 8e-3 dense fine-tuning is
    there already. Pruned alone the target still knows part of the class. Fails if pruning alone is what forgets."""
    alone, dense, sparse, to_sparse, high, high_sparse = [], [], [], [], [], []
    for seed in REPORTED:
        problem, retrained = digits_of(seed)
        mask = locate(SPARSE, problem.target, problem.splits)
        pruned = problem.target.copy()
        mask.prune(pruned.module)
        alone.append(Accuracies.of(pruned, problem).forget)
        assert alone[-1] > 20
        after = finetuned(problem, 1e-3, mask)
        dense.append(finetuned(problem, 1e-3, None).gap(retrained))
        sparse.append(after.gap(retrained))
        to_sparse.append(after.gap(retrained_sparse(problem, mask, seed + 1)))
        high.append(finetuned(problem, 8e-3, None).gap(retrained))
        high_sparse.append(finetuned(problem, 8e-3, mask).gap(retrained))
    print(
        "pruned alone",
        alone,
        "gap: dense",
        dense,
        "sparse",
        sparse,
        "to sparse retrained",
        to_sparse,
        "at 8e-3",
        high,
        high_sparse,
    )
    assert all(s < 0.5 * d for s, d in zip(sparse, dense, strict=True))
    assert fmean(to_sparse) < 0.6 * fmean(dense)
    assert abs(fmean(high) - fmean(high_sparse)) < 1.0


@pytest.mark.slow
def test_claim_does_not_reach_wrong_labels() -> None:
    """A random tenth of rows of which a fifth bear wrong labels, three targets: the gap grows by about a point, at the rate that
    suits dense fine-tuning best (1.9, 1.4, 2.3 dense; 3.1, 2.5, 3.5 pruned). Fails if it shrinks here too: then `differs` is wrong."""
    found = Digits(forget="random=0.1", label_noise=0.2, holdout=1.0).run()
    splits = Splits.of(**{name: found[name] for name in ("forget", "retain", "holdout", "test")})
    dense, sparse = [], []
    for seed in REPORTED:
        blank = vision_model("mlp", images=IMAGES, classes=10, seed=100, width=256, depth=1)
        recipe = NOISE_RECIPE.model_copy(update={"seed": seed})
        problem = train_problem("digits-noise", splits, blank, recipe, retrained=2)
        retrained = Accuracies.mean([Accuracies.of(one, problem) for one in problem.retrained])
        mask = locate(SPARSE, problem.target, problem.splits)
        dense.append(finetuned(problem, 8e-3, None).gap(retrained))
        sparse.append(finetuned(problem, 8e-3, mask).gap(retrained))
    print("gap: dense", dense, "sparse", sparse)
    assert fmean(sparse) > fmean(dense)
