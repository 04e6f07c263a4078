"""Plain training steps with a look after each."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from expunge.contract.job import Job
from expunge.engine.order import cut, ordered
from expunge.engine.teach import teach
from expunge.facts.errors import InputError
from expunge.facts.rows import Row, Rows
from expunge.modalities.array_tasks import Classification
from expunge.modalities.arrays import ArrayModel
from expunge.modalities.tabular import Features, tabular_model


def problem(scale: float = 1.0) -> tuple[ArrayModel, Rows]:
    model = tabular_model("mlp", features=Features(width=3), task=Classification(classes=4), seed=0)
    draw = np.random.default_rng(0)
    return model, Rows(
        tuple(Row(id=f"r{i}", fields={"features": scale * draw.normal(size=3), "label": i % 4}) for i in range(7))
    )


@pytest.mark.parametrize("scale", [0.05, 3.0])
def test_equals_a_loop_written_out(scale: float) -> None:
    """Fails if the loss is a sum, the rate falls, gradients are not clipped at 1, or an epoch's last short batch is left out."""
    model, rows = problem(scale)
    twin = model.copy()
    looks: list[int] = []
    teach(model, rows, job=Job(seed=3), steps=5, lr=0.02, batch_size=3, after=looks.append)
    adam = torch.optim.AdamW(twin.module.parameters(), lr=0.02, weight_decay=0.0)
    batches = [indices for epoch in range(2) for indices in cut(ordered(rows, 3, epoch), 3)][:5]
    assert [len(batch) for batch in batches] == [3, 3, 1, 3, 3]
    for indices in batches:
        loss = twin.total_loss(twin.pack(rows.take(indices))).mean()
        adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(list(twin.module.parameters()), 1.0)
        adam.step()
    assert looks == [1, 2, 3, 4, 5]
    for one, other in zip(model.module.parameters(), twin.module.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
        assert one.grad is None


def test_frozen_parameters_are_taught_too() -> None:
    """Fails if a copy of a model whose parameters were frozen keeps them so: nothing would be learned."""
    model, rows = problem()
    for parameter in model.module.parameters():
        parameter.requires_grad_(False)
    before = model.total_loss(model.pack(rows)).sum().item()
    teach(model, rows, job=Job(), steps=20, lr=0.02, batch_size=7, after=lambda done: None)
    assert model.total_loss(model.pack(rows)).sum().item() < before - 1


def test_a_loss_that_is_not_finite_stops() -> None:
    """Fails if training goes on with NaN weights, or the whole verification ends with it: the attack alone has nothing to say."""
    model, rows = problem()
    with torch.no_grad():
        next(iter(model.module.parameters())).fill_(float("nan"))
    with pytest.raises(InputError, match="cannot be taught: relearning: the loss is nan"):
        teach(model, rows, job=Job(), steps=1, lr=0.1, batch_size=2, after=lambda done: None)
