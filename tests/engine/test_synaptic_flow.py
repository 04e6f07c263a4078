"""Synaptic flow by hand and conserved from layer to layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from expunge.contract.job import Job
from expunge.engine.synaptic_flow import flows, kept_by_flow
from expunge.facts.rows import Row, Rows
from expunge.modalities.array_tasks import Classification
from expunge.modalities.tabular import Features, tabular_model
from expunge.modalities.vision import vision_model
from expunge.testbeds.vision import IMAGES


def table(width: int) -> tuple[Any, Any]:
    model = tabular_model("mlp", features=Features(width=2), task=Classification(classes=2), width=width, depth=0)
    rows = Rows((Row(id="a", fields={"features": [5.0, -7.0], "label": 1}),))
    return model, model.pack(rows)


def test_by_hand() -> None:
    """|W1| = [[1, 2], [.5, 0]], |W2| = [[1, 3], [2, 0]]: R = (1 + 2) (1 + 2) + .5 * 3 = 10.5; a weight's flow is itself times what
    enters and leaves it. Fails if the row's own numbers enter, signs stay, or a score is the gradient alone."""
    model, batch = table(2)
    with torch.no_grad():
        model.module.stem.linear.weight.copy_(torch.tensor([[1.0, 2.0], [0.5, 0.0]]))
        model.module.head.weight.copy_(torch.tensor([[1.0, 3.0], [2.0, 0.0]]))
        model.module.stem.linear.bias.zero_()
        model.module.head.bias.zero_()
    through, found = flows(model, batch)
    assert float(through) == 10.5
    assert found["stem.linear.weight"].tolist() == [[3.0, 6.0], [1.5, 0.0]]
    assert found["head.weight"].tolist() == [[3.0, 1.5], [6.0, 0.0]]
    with torch.no_grad():
        model.module.stem.linear.weight[0, 1] = -2.0
    kept = kept_by_flow(model, batch, sparsity=0.5, rounds=1, job=Job())
    assert {name: value.tolist() for name, value in kept.items()} == {
        "stem.linear.weight": [[3.0, 6.0], [0.0, 0.0]],
        "head.weight": [[3.0, 0.0], [6.0, 0.0]],
    }


def test_a_later_round_sees_what_an_earlier_one_cut_off() -> None:
    """Once unit 1's 1.5 in is pruned nothing reaches its 1.5 out, and it scores 0. Fails if scores are not computed anew each round, or a
    pruned weight keeps its score."""
    model, batch = table(2)
    with torch.no_grad():
        model.module.stem.linear.weight.copy_(torch.tensor([[1.0, 2.0], [0.5, 0.0]]))
        model.module.head.weight.copy_(torch.tensor([[1.0, 3.0], [2.0, 0.0]]))
        model.module.stem.linear.bias.zero_()
        model.module.head.bias.zero_()
    # 5.66 -> 6 entries are left after round 1 (two zeros go), 4 after round 2; 3 x 3 in round 2 are the four highest of (3, 6, 3, 6)
    kept = kept_by_flow(model, batch, sparsity=0.5, rounds=2, job=Job())
    assert kept["head.weight"].tolist() == [[3.0, 0.0], [6.0, 0.0]]
    few = kept_by_flow(model, batch, sparsity=0.75, rounds=8, job=Job())
    # 6 and 6 are one path: the flow of both is 4 of 2 x 2 once the rest is gone
    assert few["stem.linear.weight"].tolist() == [[0.0, 4.0], [0.0, 0.0]]
    assert few["head.weight"].tolist() == [[0.0, 0.0], [4.0, 0.0]]


@pytest.mark.parametrize("network", ["mlp", "cnn"])
def test_what_enters_a_layer_leaves_it(network: str) -> None:
    """The sum of scores of every layer is R where there are no biases. Fails if norms divide by what passes, or a layer is left out."""
    model = vision_model(network, images=IMAGES, classes=10, seed=1)
    batch = model.pack(Rows((Row(id="a", fields={"image": np.zeros((1, 8, 8)), "label": 0}),)))
    with torch.no_grad():
        for name, parameter in model.module.named_parameters():
            parameter.zero_() if name.endswith("bias") else parameter.abs_()
    through, found = flows(model, batch)
    assert len(found) >= 3
    for value in found.values():
        assert float(value.sum()) == pytest.approx(float(through), rel=1e-4)
