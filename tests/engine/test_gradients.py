from __future__ import annotations

import pytest
import torch
from plain_models import alone, arrays, text_model
from torch import nn

from expunge.contract.job import Job
from expunge.engine.gradients import mean_gradient


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_mean_gradient_is_the_mean_over_rows(batch_size: int) -> None:
    """Rows of unequal length, packed. Fails if long rows weigh more (a mean over positions) or a short last batch does."""
    model, rows = text_model("llama", tie_word_embeddings=True)
    found = mean_gradient(model, rows, job=Job(), batch_size=batch_size)
    wanted = alone(model, rows)
    for name, value in found.items():
        mean = sum(one[name] for one in wanted) / len(rows)
        torch.testing.assert_close(value, mean, rtol=1e-4, atol=1e-5 * float(mean.abs().max()))
    assert all(p.grad is None for p in model.module.parameters())


def test_noise_does_not_depend_on_the_batch() -> None:
    """Fails if noise is drawn a batch at a time."""
    model, rows = arrays(nn.Linear(6, 3), (6,))
    model.noisy = True
    one, many = (mean_gradient(model, rows, job=Job(seed=1), batch_size=size)["weight"] for size in (1, 4))
    torch.testing.assert_close(one, many)


def test_a_parameter_without_use_has_zeros() -> None:
    """Fails if a parameter that the loss does not reach is left out: locators rank every entry."""
    module = nn.Sequential(nn.Linear(6, 3))
    module.register_parameter("idle", nn.Parameter(torch.ones(2)))
    model, rows = arrays(module, (6,))
    assert mean_gradient(model, rows, job=Job())["idle"].tolist() == [0, 0]
