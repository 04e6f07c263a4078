from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from expunge.contract.job import Job
from expunge.contract.model import Batch
from expunge.engine.inputs import error_maximising, input_gradient, input_of, stepped_across
from expunge.facts.errors import InputError
from expunge.facts.rows import Row
from expunge.modalities.array_tasks import Classification
from expunge.modalities.arrays import ArrayModel
from expunge.modalities.tabular import Features, tabular_model

POINTS = [[0.3, -1.0, 0.5], [1.2, 0.4, -0.7]]


def model_and_batch() -> tuple[ArrayModel, Batch]:
    model = tabular_model("mlp", features=Features(width=3), task=Classification(classes=3), width=8, seed=0)
    model.module.double()
    return model, model.pack([Row(id=str(i), fields={"features": x, "label": i}) for i, x in enumerate(POINTS)])


def losses_at(model: ArrayModel, x: Tensor, targets: Tensor) -> Tensor:
    with torch.no_grad():
        return -torch.log_softmax(model.module(x).float(), -1).gather(1, targets[:, None])[:, 0].double()


def test_each_input_has_its_own_gradient() -> None:
    """Central differences of each row's loss. Fails if: losses are averaged over the batch, or the sign is turned."""
    model, batch = model_and_batch()
    found = input_gradient(model, batch, job=Job())
    x, step = input_of(batch), 1e-3
    for entry in range(3):
        moved = torch.zeros(3, dtype=torch.double)
        moved[entry] = step
        wanted = losses_at(model, x + moved, batch.targets) - losses_at(model, x - moved, batch.targets)
        assert found[:, entry].tolist() == pytest.approx((wanted / (2 * step)).tolist(), abs=1e-3)
    assert all(parameter.grad is None for parameter in model.module.parameters())


def test_gradients_of_many_inputs_are_taken_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a part gets another's targets, order is lost, or all inputs go through the network at once."""
    model, _ = model_and_batch()
    batch = model.pack([Row(id=str(i), fields={"features": [i, 1.0, -i], "label": i % 3}) for i in range(5)])
    whole = input_gradient(model, batch, job=Job())
    sizes: list[int] = []
    real = model.module.forward
    monkeypatch.setattr(model.module, "forward", lambda x: sizes.append(len(x)) or real(x))
    monkeypatch.setattr("expunge.engine.inputs.ROWS", 2)
    torch.testing.assert_close(input_gradient(model, batch, job=Job()), whole)
    assert sizes == [2, 2, 1]


def test_a_step_moves_every_entry_by_its_size_to_where_the_loss_rises() -> None:
    """Fails if: the gradient itself is added, or the step goes down."""
    model, batch = model_and_batch()
    moved = input_of(stepped_across(model, batch, size=0.05, job=Job())) - input_of(batch)
    assert moved.abs().flatten().tolist() == pytest.approx([0.05] * 6)
    after = losses_at(model, input_of(batch) + moved, batch.targets)
    assert bool((after > losses_at(model, input_of(batch), batch.targets)).all())


def test_first_step_of_the_noise_is_adams() -> None:
    """Adam's first step is lr * sign: x - .1 * sign(2 penalty x / n - d loss / n). Fails if: error is minimised or the penalty not."""
    model, batch = model_and_batch()
    for penalty in (0.0, 0.3):
        found = error_maximising(model, batch, steps=1, lr=0.1, penalty=penalty, job=Job())
        slope = 2 * penalty * input_of(batch) - input_gradient(model, batch, job=Job())
        assert found.flatten().tolist() == pytest.approx(
            (input_of(batch) - 0.1 * slope.sign()).flatten().tolist(), abs=1e-5
        )


def test_noise_raises_the_loss_and_a_penalty_keeps_it_short() -> None:
    """Fails if: the search stops at its start, or the penalty has no say."""
    model, batch = model_and_batch()
    free, short = (
        error_maximising(model, batch, steps=60, lr=0.1, penalty=penalty, job=Job()) for penalty in (0.0, 5.0)
    )
    before = losses_at(model, input_of(batch), batch.targets)
    assert float(losses_at(model, free, batch.targets).mean()) > float(before.mean()) + 0.3
    assert float(short.norm()) < 0.3 * float(free.norm())


def test_token_ids_are_refused() -> None:
    """Fails if: whole numbers are moved by fractions."""
    _, batch = model_and_batch()
    for inputs in ({"input_ids": torch.ones(2, 3, dtype=torch.long)}, {"x": torch.ones(2, 3, dtype=torch.long)}):
        with pytest.raises(InputError, match="cannot be moved"):
            input_of(replace(batch, inputs=inputs))
