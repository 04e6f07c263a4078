from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from plain_models import alone, arrays, close, text_model
from torch import nn

from expunge.contract.job import Job
from expunge.engine import per_example
from expunge.engine.fisher import diagonal_fisher
from expunge.engine.per_example import gradient_dots, gradient_norms, squared_gradient_sum
from expunge.facts.rows import Row, Rows


def test_norms_and_squares_by_hand() -> None:
    """Logits 0, so p = 1/2: gradient (p - one-hot) x^T = [[-.5], [.5]] * x; x = (1, 0) and (0, 3).

    Norms .5 * sqrt(2) and 1.5 * sqrt(2); one parameter, so both variants agree. Fails if squares are of the summed gradient.
    """
    module = nn.Linear(2, 2, bias=False)
    model, _ = arrays(module, (2,))
    with torch.no_grad():
        module.weight.zero_()
    rows = Rows(
        tuple(Row(id=str(i), fields={"x": torch.tensor(x), "y": 0}) for i, x in enumerate([(1.0, 0.0), (0.0, 3.0)]))
    )
    assert squared_gradient_sum(model, rows, job=Job())["weight"].tolist() == [[0.25, 2.25], [0.25, 2.25]]
    norm, mean = gradient_norms(model, rows, job=Job())
    assert norm.tolist() == pytest.approx([0.5 * 2**0.5, 1.5 * 2**0.5])
    assert mean.tolist() == norm.tolist()
    assert gradient_dots(model, rows, {"weight": torch.tensor([[2.0, 0.0], [0.0, 1.0]])}, job=Job()).tolist() == [
        -1,
        1.5,
    ]
    assert diagonal_fisher(model, rows, job=Job())["weight"].tolist() == [[0.125, 1.125], [0.125, 1.125]]


def test_the_second_norm_is_a_mean_over_parameters() -> None:
    """Weight gradient of norm |x|/sqrt(2) = 5/sqrt(2), bias gradient of norm 1/sqrt(2): mean 3/sqrt(2), global sqrt(13).

    Fails if the standard framework's number (mean of the tensors' norms) is taken for the global norm or the other way round.
    """
    module = nn.Linear(2, 2)
    model, _ = arrays(module, (2,))
    with torch.no_grad():
        module.weight.zero_()
        module.bias.zero_()
    rows = Rows((Row(id="a", fields={"x": torch.tensor([3.0, 4.0]), "y": 1}),))
    norm, mean = gradient_norms(model, rows, job=Job())
    assert norm.tolist() == pytest.approx([13**0.5])
    assert mean.tolist() == pytest.approx([3 / 2**0.5])


CASES = [
    ("llama", {}),
    ("llama", {"tie_word_embeddings": True}),
    ("gpt2", {}),
    ("gpt_neox", {}),
    ("qwen2", {}),
    ("qwen3", {}),
]


@pytest.mark.parametrize(("architecture", "settings"), CASES, ids=lambda value: str(value))
def test_language_models_equal_the_loop(
    architecture: str, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of unequal lengths, in passes of 3. Fails if the loss is not divided by the row's length, rows come back in the plan's
    order, GPT-2's Conv1D is not transposed, or the tied embedding and head are squared apart."""
    monkeypatch.setattr(per_example, "MOST_ROWS", 3)
    model, rows = text_model(architecture, **settings)
    job = Job()
    squares = squared_gradient_sum(model, rows, job=job)
    norm, mean = gradient_norms(model, rows, job=job)
    assert job.notes == {}
    wanted = alone(model, rows)
    assert len({len(model.pack([row]).owner) for row in rows}) > 2
    scale = max(float(g.abs().max()) for one in wanted for g in one.values())
    for name, found in squares.items():
        close(found, sum(one[name].square() for one in wanted), scale**2)
    each = torch.tensor([[float(g.norm()) for g in one.values()] for one in wanted])
    close(norm, each.square().sum(1).sqrt(), scale)
    close(mean, each.mean(1), scale)


def test_no_gradient_is_left_behind() -> None:
    """The standard framework's gradient norm leaves the last row's gradient on every parameter, and the next step takes it.

    Fails if the pass calls backward() instead of asking for the gradients it needs.
    """
    model, rows = text_model("llama")
    assert all(p.grad is None for p in model.module.parameters())
    gradient_norms(model, rows, job=Job())
    squared_gradient_sum(model, rows, job=Job())
    assert all(p.grad is None for p in model.module.parameters())
    kept = torch.ones_like(model.module.lm_head.weight)
    model.module.lm_head.weight.grad = kept
    gradient_norms(model, rows, job=Job())
    assert model.module.lm_head.weight.grad is kept
    assert kept.eq(1).all()


def test_dropout_is_off_and_nothing_else_changes() -> None:
    """Fails if the caller's train mode decides what comes out, is not put back part by part, or a global generator is drawn from."""
    module = nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.5), nn.BatchNorm1d(6), nn.Linear(6, 3))
    model, rows = arrays(module, (6,))
    module.train(False)
    wanted = gradient_norms(model, rows, job=Job())[0]
    module.train(True)
    module[2].train(False)
    modes, statistics = [part.training for part in module.modules()], module[2].running_mean.clone()
    states = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    with torch.no_grad():
        found = gradient_norms(model, rows, job=Job())[0]
        assert not torch.is_grad_enabled()
    assert torch.equal(found, wanted)
    assert [part.training for part in module.modules()] == modes
    assert torch.equal(module[2].running_mean, statistics)
    assert random.getstate() == states[0]
    assert np.array_equal(np.random.get_state()[1], states[1])
    assert torch.equal(torch.get_rng_state(), states[2])
    assert not module._forward_hooks
    assert not module[0]._forward_hooks


def test_only_trainable_parameters_are_named() -> None:
    """Fails if a frozen parameter enters the norms or the squares."""
    model, rows = text_model("llama")
    for name, parameter in model.module.named_parameters():
        parameter.requires_grad_(name.startswith("model.layers.1.mlp"))
    squares = squared_gradient_sum(model, rows, job=Job())
    assert sorted(squares) == [f"model.layers.1.mlp.{part}_proj.weight" for part in ("down", "gate", "up")]
    norm, _ = gradient_norms(model, rows, job=Job())
    wanted = [sum(float(g.square().sum()) for g in one.values()) ** 0.5 for one in alone(model, rows)]
    assert norm.tolist() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("most", [1, 2, 3, 64])
def test_a_rows_noise_is_its_own(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if noise is drawn a pass at a time: numbers would then depend on how many rows a pass takes."""
    model, rows = arrays(nn.Linear(6, 3), (6,))
    model.noisy = True
    wanted = gradient_norms(model, rows, job=Job(seed=3))[0]
    monkeypatch.setattr(per_example, "MOST_ROWS", most)
    torch.testing.assert_close(gradient_norms(model, rows, job=Job(seed=3))[0], wanted)
    assert not torch.allclose(gradient_norms(model, rows, job=Job(seed=4))[0], wanted)


@pytest.mark.parametrize(
    ("outputs", "passes"),
    [(2**19, [1, 1, 1, 1, 130]), (6 * 64, [1, 1, 1, 1, 2, 128]), (6 * 64 - 1, [1, 1, 1, 2, 64, 64])],
)
def test_passes_are_few_and_bounded(outputs: int, passes: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """130 rows with 3 outputs in one pass, in passes of at most 384 outputs, or in the least of 64 where 6 inputs alone are too many; one
    row measures the outputs, one asks for noise and two are checked. Fails if rows run one by one, or however wide the outputs are."""
    monkeypatch.setattr(per_example, "MOST_OUTPUTS", outputs)
    model, rows = arrays(nn.Linear(6, 3), (6,), 130)
    model.packs.clear()
    gradient_norms(model, rows, job=Job())
    assert sorted(model.packs) == passes
    monkeypatch.setattr(per_example, "MOST_POSITIONS", 10)
    text, questions = text_model("llama")
    plan = per_example._plan(text, questions, 64)
    lengths = [text.pack_apart([row]).positions for row in questions]
    assert sorted(i for one in plan for i in one) == list(range(len(questions)))
    assert all(len(one) == 1 or len(one) * max(lengths[i] for i in one) <= 10 for one in plan)
    assert [max(lengths[i] for i in one) for one in plan] == sorted(max(lengths[i] for i in one) for one in plan)


def test_half_precision_forward_passes_are_read_too() -> None:
    """Fails if the check against autograd takes bfloat16 rounding for a wrong reading, or the numbers are not float32."""
    model, rows = text_model("llama")
    job = Job(autocast=lambda: torch.autocast("cpu", torch.bfloat16))
    norm, _ = gradient_norms(model, rows, job=job)
    assert job.notes == {}
    assert norm.dtype is torch.float32
    assert norm.tolist() == pytest.approx(gradient_norms(model, rows, job=Job())[0].tolist(), rel=0.05)


def test_no_rows_give_no_numbers() -> None:
    """Fails if an empty request is not answered with empties and zeros."""
    model, rows = arrays(nn.Linear(6, 3), (6,))
    assert gradient_norms(model, rows[:0], job=Job())[0].tolist() == []
    assert all(not value.any() for value in squared_gradient_sum(model, rows[:0], job=Job()).values())
