"""What SSD and its variants share."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from expunge.contract.job import Job
from expunge.contract.splits import Splits
from expunge.engine.dampen import Importances, dampen, output_sensitivity
from expunge.facts.rows import Row, Rows
from expunge.modalities.vision import vision_model
from expunge.testbeds.vision import IMAGES

ONE = {"w": torch.tensor([4.0, 0.0, 1.0])}
TWO = {"w": torch.tensor([1.0, 0.0, 3.0])}


def digits(count: int, label: int) -> Rows:
    draw = np.random.default_rng(count)
    return Rows(
        tuple(Row(id=f"{label}/{i}", fields={"image": draw.random((1, 8, 8)), "label": label}) for i in range(count))
    )


def test_all_rows_are_weighed_by_their_number() -> None:
    """1 forget row and 3 retain rows: (4 + 3)/4, 0, (1 + 9)/4; ratios 16/7 and .4, and 0/0 is none.

    Fails if the halves count alike, I_all is I_retain, or an entry that matters to no row has a ratio.
    """
    splits = Splits.of(forget=digits(1, 0), retain=digits(3, 1))
    found = Importances.of(splits, lambda rows: ONE if len(rows) == 1 else TWO)
    assert found.everywhere["w"].tolist() == [1.75, 0.0, 2.5]
    assert found.ratios().tolist() == pytest.approx([16 / 7, 0.4])


def test_a_pruned_model_stays_pruned() -> None:
    """Fails if dampening writes what a pruning mask took away."""
    from expunge.contract.mask import Mask

    model = vision_model("mlp", images=IMAGES, classes=2, seed=0, width=4, depth=0)
    shape = model.module.head.weight.shape
    mask = Mask({"head.weight": torch.arange(shape.numel()).view(shape) % 2 == 0}, prunes=True)
    mask.prune(model.module)
    kept = model.module.head.weight.detach().clone()
    found = Importances({"head.weight": torch.ones(shape)}, {"head.weight": torch.full(shape, 0.5)})
    job = Job(scope=frozenset({"head.weight"}), mask=mask)
    dampen(model, found, alpha=1.5, dampening=1.0, job=job)
    assert torch.equal(model.module.head.weight, kept * 0.5)
    assert int((model.module.head.weight == 0).sum()) == shape.numel() // 2


@pytest.mark.parametrize("network", ["mlp", "cnn"])
def test_output_sensitivity_equals_the_loop(network: str) -> None:
    """Fails if labels enter, rows' signs cancel, gradients are squared, or the sum is not divided by the rows."""
    model, rows = vision_model(network, images=IMAGES, classes=3, seed=0), digits(5, 2)
    job = Job()
    found = output_sensitivity(model, rows, job=job)
    assert "per_example" not in job.notes
    named = dict(model.module.named_parameters())
    wanted = {name: torch.zeros_like(p) for name, p in named.items()}
    for row in rows:
        loss = model.module(model.pack([row]).inputs["x"]).square().sum()
        for name, value in zip(named, torch.autograd.grad(loss, list(named.values())), strict=True):
            wanted[name] += value.abs() / 5
    for name, value in wanted.items():
        assert torch.allclose(found[name], value, rtol=1e-4, atol=1e-5 * float(value.abs().max())), name
