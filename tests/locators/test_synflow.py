"""SynFlow: layers that are never emptied, and fine-tuning what it leaves."""

from __future__ import annotations

import numpy as np
import pytest
from digits_class import Accuracies
from digits_seeds import REPORTED, digits_of
from poisoned_class import backdoor_after_finetuning
from told_members import membership

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


def finetuned(seed: int, sparsity: float | None) -> tuple[Accuracies, float, float]:
    """Accuracies, their gap to retrained, and that of the share that a membership attack calls non-members."""
    problem, retrained = digits_of(seed)
    mask = None if sparsity is None else locate(SynFlow(sparsity=sparsity), problem.target, problem.splits)
    method = Finetune(descent=Descent(lr=1e-3, epochs=10))
    model, _ = unlearn(method, problem.target, problem.splits, job=Job(seed=0, mask=mask))
    found = Accuracies.of(model, problem)
    attacked, again = (membership(one, problem.splits).efficacy for one in (model, *problem.retrained))
    return found, found.gap(retrained), abs(attacked - again)


def test_claim_fine_tuning_forgets_more_at_95_percent() -> None:
    """Gap to retrained 22.0 dense, .3 at 95%; called non-members 46 and 100% (retrained 100). Fails if pruned weights are not zeroed before the
    method, or come back."""
    dense, sparse = finetuned(0, None), finetuned(0, 0.95)
    assert dense[0].forget > 20
    assert sparse[0].forget < 3
    assert sparse[0].retain > 98.5
    assert sparse[1] < 0.5 * dense[1]
    assert sparse[2] < 5
    assert dense[2] > 10


@pytest.mark.slow
def test_claim_over_targets_and_less_at_90_percent() -> None:
    """Three targets: at 95% the gap is below half of the dense one's in each, and all forget rows are called non-members (dense 46, 46, 53%, retrained
    100). At 90% it gains less. Fails if the share pruned does not matter."""
    every = {at: [finetuned(seed, at) for seed in REPORTED] for at in (None, 0.9, 0.95)}
    assert all(sparse[2] < 5 < 10 < dense[2] for sparse, dense in zip(every[0.95], every[None], strict=True))
    gaps = {at: [one[1] for one in of] for at, of in every.items()}
    print(gaps)
    assert all(s < 0.5 * d for s, d in zip(gaps[0.95], gaps[None], strict=True))
    assert sum(gaps[0.9]) > sum(gaps[0.95])


@pytest.mark.slow
def test_claim_pruning_lowers_a_backdoors_success_at_a_low_rate_and_raises_it_at_a_higher_one() -> None:
    """P029: patched digits, all 60 manipulated rows known, seeds 0 to 2; success before 99.8, 98.8, 97.3%, 95% of the weights pruned.

    Success after fine-tuning dense and pruned: at lr 1e-3 86.6 and 63.8, 75.8 and 41.9, 82.1 and 49.3;
    at 5e-3 4.9 and 28.3, 4.8 and 18.4, 3.7 and 22.3.
    Where dense fine-tuning is enough, fewer weights unlearn a backdoor less. Fails if: pruned weights come back, or pruning helps at both rates: then `differs` is wrong.
    """
    for seed in (0, 1, 2):
        found = backdoor_after_finetuning(SynFlow(), seed)
        print(seed, found)
        assert found["pruned", 1e-3] < found["dense", 1e-3] - 10
        assert found["pruned", 5e-3] > found["dense", 5e-3] + 3
