"""SynFlow: layers that are never emptied, and fine-tuning what it leaves."""

from __future__ import annotations

import numpy as np
import pytest
from classifiers import mean_interval
from digits_class import Accuracies
from digits_seeds import REPORTED, digits_of
from poisoned_class import pruned_less_dense
from told_members import mean_membership, membership

from expunge.contract.apply import locate, unlearn
from expunge.contract.job import Job
from expunge.contract.mask import Mask
from expunge.contract.splits import Splits
from expunge.engine.descend import Descent
from expunge.facts.rows import Row, Rows
from expunge.locators.one_shot_pruning import OneShotPruning
from expunge.locators.synflow import SynFlow
from expunge.methods.finetune import Finetune
from expunge.modalities.vision import vision_model
from expunge.testbeds.vision import IMAGES


def rows(value: float, label: int) -> Splits:
    return Splits.of(forget=Rows((Row(id="a", fields={"image": np.full((1, 8, 8), value), "label": label}),)))


def least(mask: Mask) -> int:
    """Weights left in the layer that has fewest."""
    return min(int(entry.sum()) for entry in mask.entries.values() if not entry.all())


def test_it_prunes_the_share_and_never_looks_at_data() -> None:
    """Fails if another row or label gives another mask, or the share is missed."""
    model = vision_model("mlp", images=IMAGES, classes=10, seed=100, width=32, depth=1)
    masks = [locate(SynFlow(sparsity=0.9, rounds=5), model, given) for given in (rows(0.0, 1), rows(0.8, 7))]
    assert all(bool((masks[0].entries[name] == entry).all()) for name, entry in masks[1].entries.items())
    weights = {name: entry for name, entry in masks[0].entries.items() if name.endswith("weight")}
    total = sum(entry.numel() for entry in weights.values())
    assert sum(int(entry.sum()) for entry in weights.values()) == total - round(0.9 * total)
    assert masks[0].prunes


@pytest.mark.parametrize("network", ["mlp", "cnn"])
@pytest.mark.parametrize("sparsity", [0.95, 0.99])
def test_claim_no_layer_is_emptied(network: str, sparsity: float) -> None:
    """New weights, as in the paper: magnitude and a single round of flow empty a layer, 100 rounds leave tens in each.

    Residual branches are emptied all the same (flow passes beside them), and so are layers of five and more with biases at 99.5%.
    Fails if scores are not computed anew each round.
    """
    arguments = {"width": 256, "depth": 1} if network == "mlp" else {}
    for seed in (100, 101, 102):
        model = vision_model(network, images=IMAGES, classes=10, seed=seed, **arguments)
        assert least(locate(OneShotPruning(sparsity=sparsity), model, rows(0.5, 0))) == 0
        assert least(locate(SynFlow(sparsity=sparsity, rounds=1), model, rows(0.5, 0))) == 0
        assert least(locate(SynFlow(sparsity=sparsity), model, rows(0.5, 0))) >= 20


def finetuned(seed: int, sparsity: float | None, network: str = "mlp") -> tuple[Accuracies, float, float]:
    """Accuracies, their gap to retrained, and that of the share that a membership attack calls non-members."""
    problem, retrained = digits_of(seed, network)
    mask = None if sparsity is None else locate(SynFlow(sparsity=sparsity), problem.target, problem.splits)
    method = Finetune(descent=Descent(lr=1e-3, epochs=10))
    model, _ = unlearn(method, problem.target, problem.splits, job=Job(seed=0, mask=mask))
    found, again = Accuracies.of(model, problem), mean_membership(problem.retrained, problem.splits)
    return found, found.gap(retrained), abs(membership(model, problem.splits).efficacy - again.efficacy)


def test_claim_fine_tuning_forgets_more_at_95_percent() -> None:
    """Gap to ten retrained models 22.1 dense, .2 at 95%; called non-members 46 and 100% (retrained 100).

    Fails if pruned weights are not zeroed before the method, or come back.
    """
    dense, sparse = finetuned(0, None), finetuned(0, 0.95)
    print(dense, sparse)
    assert dense[0].forget > 20
    assert sparse[0].forget < 3
    assert sparse[0].retain > 98.5
    assert sparse[1] < 0.5 * dense[1]
    assert sparse[2] < 5
    assert dense[2] > 10


@pytest.mark.slow
def test_claim_over_five_targets_and_less_at_90_percent() -> None:
    """Gap to ten retrained models: dense 20.0 [14.2, 25.9], at 95% .20 [.13, .27], paired difference -19.8 [-25.6, -14.0].

    At 90% 3.3 [.6, 5.9], further than at 95% by 3.1 [.3, 5.8]. The share of forget rows called non-members lies 45 [23, 67] points from
    the retrained models' dense, 0 on each at 95%. Fails if the share pruned does not matter.
    """
    dense, some, most = (np.array([finetuned(seed, at)[1:] for seed in REPORTED]) for at in (None, 0.9, 0.95))
    print(*(mean_interval(column) for one in (dense, some, most, most - dense, some - most) for column in one.T))
    assert mean_interval(most[:, 0] - 0.5 * dense[:, 0]).high < 0
    assert mean_interval(most[:, 1]).high < 5
    assert mean_interval(dense[:, 1]).low > 10
    assert mean_interval(some[:, 0] - most[:, 0]).low > 0


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_claim_over_five_small_cnns() -> None:
    """Gap to ten retrained models: dense 29.1 [27.7, 30.5], at 95% 3.0 [.4, 5.6], paired difference -26.1 [-29.1, -23.1].

    The share of forget rows called non-members lies 72 [63, 80] points from the retrained models' dense, 0 on each at 95%. Fails if pruned
    weights come back.
    """
    dense, sparse = (np.array([finetuned(seed, at, "cnn")[1:] for seed in REPORTED]) for at in (None, 0.95))
    print(*(mean_interval(column) for one in (dense, sparse, sparse - dense) for column in one.T))
    assert mean_interval(sparse[:, 0] - 0.5 * dense[:, 0]).high < 0
    assert mean_interval(sparse[:, 1]).high < 5
    assert mean_interval(dense[:, 1]).low > 10


@pytest.mark.slow
def test_claim_pruning_lowers_a_backdoors_success_at_a_low_rate_and_raises_it_at_a_higher_one() -> None:
    """P029: patched digits, five draws, all 60 manipulated rows known, 95% of the weights pruned.

    Distance of success to ten retrained models' (0 to .04) after fine-tuning dense and pruned, with 95% intervals: at lr 1e-3 82.1 [76.3,
    87.9] and 58.0 [42.9, 73.2], paired -24.1 [-35.3, -12.9]; at 5e-3 6.2 [3.1, 9.3] and 31.0 [16.5, 45.4], 24.7 [13.1, 36.4]. Where dense
    fine-tuning is enough, fewer weights unlearn a backdoor less. Fails if: pruned weights come back, or pruning helps at both rates: then
    `differs` is wrong.
    """
    low, high = pruned_less_dense(SynFlow())
    assert low.high < -10
    assert high.low > 3


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_claim_pruning_a_small_cnn_and_a_backdoors_success() -> None:
    """As above on small CNNs: dense 84.0 [73.4, 94.5] and pruned 89.0 [78.8, 99.1] at lr 1e-3, paired 5.0 [-14.6, 24.5]: not shown lower.

    At 5e-3 4.9 [2.3, 7.4] and 46.2 [33.3, 59.1], 41.4 [29.6, 53.1]: higher. Fails if: pruned weights come back.
    """
    low, high = pruned_less_dense(SynFlow(), "cnn")
    assert low.low < 0 < low.high
    assert high.low > 10
