"""SynFlow: layers that are never emptied, and fine-tuning what it leaves."""

from __future__ import annotations

import numpy as np
import pytest
from digits_class import Accuracies
from digits_seeds import REPORTED, digits_of

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


def finetuned(seed: int, sparsity: float | None) -> tuple[Accuracies, float]:
    problem, retrained = digits_of(seed)
    mask = None if sparsity is None else locate(SynFlow(sparsity=sparsity), problem.target, problem.splits)
    method = Finetune(descent=Descent(lr=1e-3, epochs=10))
    found = Accuracies.of(unlearn(method, problem.target, problem.splits, job=Job(seed=0, mask=mask))[0], problem)
    return found, found.gap(retrained)


def test_claim_fine_tuning_forgets_more_at_95_percent() -> None:
    """Gap to retrained 22.0 dense, .3 at 95%. Fails if pruned weights are not zeroed before the method, or come back."""
    dense, sparse = finetuned(0, None), finetuned(0, 0.95)
    assert dense[0].forget > 20
    assert sparse[0].forget < 3
    assert sparse[0].retain > 98.5
    assert sparse[1] < 0.5 * dense[1]


@pytest.mark.slow
def test_claim_over_targets_and_less_at_90_percent() -> None:
    """Three targets: at 95% the gap is below half of the dense one's in each. At 90% it gains less."""
    gaps = {at: [finetuned(seed, at)[1] for seed in REPORTED] for at in (None, 0.9, 0.95)}
    print(gaps)
    assert all(s < 0.5 * d for s, d in zip(gaps[0.95], gaps[None], strict=True))
    assert sum(gaps[0.9]) > sum(gaps[0.95])
