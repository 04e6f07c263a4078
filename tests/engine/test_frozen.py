"""The frozen target: numbers where numbers are enough, a copy where a loss takes noise."""

from __future__ import annotations

import pytest
import torch
from plain_models import arrays, plain_nll, text_model
from torch import nn

from expunge.contract.job import Job
from expunge.engine.descend import one_pass
from expunge.engine.frozen import FrozenLosses, frozen_copy, total_losses


def test_total_losses_in_row_order() -> None:
    """Fails if a batch's end loses a row, or losses are means."""
    model, rows = text_model("llama")
    wanted = torch.stack([plain_nll(model, [row]).sum() for row in rows])
    torch.testing.assert_close(total_losses(model, rows, batch_size=3), wanted.detach(), rtol=1e-5, atol=1e-5)


def test_numbers_are_those_of_before_and_of_the_steps_rows() -> None:
    """Fails if frozen losses move with the model, or go to rows by their place in the step instead of in the forget set."""
    model, rows = text_model("llama")
    wanted = total_losses(model, rows)
    frozen = FrozenLosses.of(model, rows)
    assert frozen.copy is None
    with torch.no_grad():
        for parameter in model.module.parameters():
            parameter.add_(0.1)
    for step in one_pass(model, Job(seed=3), 3, 0, forget=rows, retain=rows[:0]):
        torch.testing.assert_close(frozen.forget(step), wanted[step.forget_index])
    assert not torch.allclose(total_losses(model, rows), wanted, atol=0.1)


def test_under_noise_the_copy_sees_the_steps_own() -> None:
    """Unmoved, model and copy agree to the bit. Fails if the copy's noise is drawn anew, or its rows are not the forget rows."""
    model, rows = arrays(nn.Linear(4, 3), (4,))
    model.noisy = True
    model.copy = lambda: arrays(nn.Linear(4, 3), (4,))[0]  # type: ignore[attr-defined]
    twin = model.copy()  # type: ignore[attr-defined]
    twin.noisy = True
    twin.module.load_state_dict(model.module.state_dict())
    frozen = FrozenLosses(None, twin)
    order = iter([5, 6])
    (step,) = one_pass(model, Job(), 2, 0, forget=rows[:2], retain=rows, following=order)
    assert torch.equal(frozen.forget(step), step.total_losses()[0])
    assert len(frozen.forget(step)) == 2


def test_which_kind_is_found_by_trying() -> None:
    """Fails if a model whose loss takes noise is frozen into numbers of one draw."""
    model, rows = arrays(nn.Linear(4, 3), (4,))
    assert FrozenLosses.of(model, rows).kept is not None
    model.noisy = True
    copies: list[int] = []

    def copy() -> object:
        copies.append(1)
        return arrays(nn.Linear(4, 3), (4,))[0]

    model.copy = copy  # type: ignore[attr-defined]
    assert FrozenLosses.of(model, rows).kept is None
    assert copies == [1]


def test_a_frozen_copy_shares_nothing_and_takes_no_gradient() -> None:
    """Fails if the copy is in train mode, takes gradients, or moves with the model."""
    model, rows = text_model("llama")
    model.module.train(True)
    copy = frozen_copy(model)
    assert not copy.module.training
    assert model.module.training
    assert not any(p.requires_grad for p in copy.module.parameters())
    assert all(p.requires_grad for p in model.module.parameters())
    before = total_losses(copy, rows)
    with torch.no_grad():
        for parameter in model.module.parameters():
            parameter.zero_()
    assert torch.equal(total_losses(copy, rows), before)
    assert float(total_losses(model, rows[:1])) == pytest.approx(
        len(plain_nll(model, rows[:1])) * float(torch.tensor(model.module.config.vocab_size).log()), rel=1e-5
    )
