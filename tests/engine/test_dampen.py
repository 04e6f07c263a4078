"""What SSD and its variants share."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from expunge.contract.job import Job, Remembering
from expunge.contract.splits import Splits
from expunge.engine.dampen import Importances, dampen, output_sensitivity
from expunge.engine.fisher import diagonal_fisher
from expunge.facts.rows import Row, Rows
from expunge.modalities.arrays import ArrayModel
from expunge.modalities.vision import vision_model
from expunge.testbeds.vision import IMAGES

ONE = {"w": torch.tensor([4.0, 0.0, 1.0])}
ALL = {"w": torch.tensor([1.75, 0.0, 2.5])}


def small(seed: int) -> ArrayModel:
    return vision_model("mlp", images=IMAGES, classes=2, seed=seed, width=4, depth=0)


def digits(count: int, label: int) -> Rows:
    draw = np.random.default_rng(count)
    return Rows(
        tuple(Row(id=f"{label}/{i}", fields={"image": draw.random((1, 8, 8)), "label": label}) for i in range(count))
    )


def test_ratios_are_of_forget_over_all_rows() -> None:
    """A mean over 1 row is (4, 0, 1), over all 4 (1.75, 0, 2.5); ratios 16/7 and .4, and 0/0 is none.

    Fails if I_all is of retain rows alone, or an entry that matters to no row has a ratio.
    """
    splits, model = Splits.of(forget=digits(1, 0), retain=digits(3, 1)), small(0)
    found = Importances.of(model, splits, lambda rows: {1: ONE, 4: ALL}[len(rows)], kind="by hand", job=Job())
    assert found.everywhere["w"].tolist() == [1.75, 0.0, 2.5]
    assert found.ratios().tolist() == pytest.approx([16 / 7, 0.4])


def test_the_importance_of_all_rows_is_measured_once_a_target() -> None:
    """Fails if another request of the same rows reads all of them again, or what is kept serves other rows, weights, settings or a scope."""
    cache, every = Remembering(), (*digits(3, 0), *digits(4, 1))
    whole = small(0)
    part = small(0)
    part.module.head.bias.requires_grad_(False)

    def read(model: ArrayModel, forget: int, kind: str = "fisher-1", most: int = 7) -> int:
        job = Job(cache=cache)
        splits = Splits.of(forget=Rows(every[:forget]), retain=Rows(every[forget:most]))
        one = Importances.of(model, splits, lambda rows: diagonal_fisher(model, rows, job=job), kind=kind, job=job)
        fresh = Importances.of(
            model, splits, lambda rows: diagonal_fisher(model, rows, job=Job()), kind=kind, job=Job()
        )
        assert one.everywhere.keys() == fresh.everywhere.keys()
        for name, value in one.everywhere.items():
            assert torch.equal(value, fresh.everywhere[name]), name
        return int(job.notes["all_rows_read"])

    assert [read(whole, 3), read(whole, 3), read(whole, 5)] == [7, 0, 0]
    assert [read(whole, 3, most=6), read(small(1), 3), read(whole, 3, "other"), read(part, 3)] == [6, 7, 7, 7]


def test_the_importance_of_a_large_model_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if gibibytes go to disk for one removal."""
    model, cache = small(0), Remembering()
    splits = Splits.of(forget=digits(1, 0), retain=digits(3, 1))
    monkeypatch.setattr("expunge.engine.dampen.MOST_KEPT", sum(p.numel() for p in model.module.parameters()) - 1)
    job = Job(cache=cache)
    Importances.of(model, splits, lambda rows: diagonal_fisher(model, rows, job=job), kind="fisher-1", job=job)
    assert cache == {}


def test_a_pruned_model_stays_pruned() -> None:
    """Fails if dampening writes what a pruning mask took away."""
    from expunge.contract.mask import Mask

    model = small(0)
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


def test_the_order_of_forget_rows_is_nothing() -> None:
    """With gradients squared by batches of 2. Fails if a request written in another order cuts other batches and dampens other weights."""
    model, retain = vision_model("mlp", images=IMAGES, classes=2, seed=0, width=8, depth=0), digits(4, 1)
    forget, found = digits(5, 0), []
    for rows in (forget, Rows(tuple(reversed(forget)))):
        splits, job = Splits.of(forget=rows, retain=retain), Job()
        measure = partial(diagonal_fisher, model, batch_size=2, job=job)
        found.append(Importances.of(model, splits, measure, kind="fisher-2", job=job).ratios())
    assert torch.equal(*found)
