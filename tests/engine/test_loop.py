"""The optimiser loop: rates, decay, clipping, masks, and what ends it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from expunge.contract.job import Job
from expunge.contract.mask import Mask
from expunge.engine.loop import optimise, optimiser, rate
from expunge.facts.errors import ContractBroken


def net() -> nn.Linear:
    module = nn.Linear(2, 2)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
        module.bias.copy_(torch.tensor([5.0, 6.0]))
    return module


def summed(module: nn.Linear, n: int) -> Iterator[Callable[[], Tensor]]:
    """A loss whose gradient is 1 for every entry."""
    return iter([lambda: module.weight.sum() + module.bias.sum()] * n)


def run(module: nn.Linear, n: int = 3, *, job: Job | None = None, **given: Any) -> None:
    optimise(module, summed(module, n), **{"total": n, "job": job or Job(), "label": "t", "lr": 0.1, **given})


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("constant", [1 / 3, 2 / 3, 1, 1, 1, 1, 1, 1, 1, 1]),
        ("linear", [1 / 3, 2 / 3, 1, 1, 6 / 7, 5 / 7, 4 / 7, 3 / 7, 2 / 7, 1 / 7]),
        ("cosine", [1 / 3, 2 / 3, 1, *(0.5 * (1 + math.cos(math.pi * k / 7)) for k in range(7))]),
    ],
)
def test_rates_by_hand(schedule: str, rates: list[float]) -> None:
    """10 steps, warm-up .25: ceil(2.5) = 3 steps of ramp, 7 of fall from 1.

    Fails if the ramp begins at zero (a step that does nothing), is rounded down, or the fall counts the ramp's steps.
    """
    assert [rate(step, 10, 0.25, schedule) for step in range(10)] == pytest.approx(rates)


def test_without_warm_up_and_of_one_step() -> None:
    """Fails if a run of one step has rate zero."""
    assert rate(0, 1, 0.0, "linear") == rate(0, 1, 0.5, "cosine") == 1.0
    assert rate(0, 4, 0.0, "linear") == 1.0


def test_sgd_with_momentum_and_decay_by_hand() -> None:
    """Weights w, g = 1 + d w, v <- m v + g, w <- w - lr v, d = .5 m = .9 lr = .1, two steps; d = 0 for the bias.

    Fails if decay touches vectors, momentum is not passed on, or the rate stays at its peak (linear: 1, then 1/2).
    """
    module = net()
    run(module, 2, kind="sgd", momentum=0.9, weight_decay=0.5, schedule="linear")

    def by_hand(w: float, d: float) -> float:
        v = 1 + d * w
        w = w - 0.1 * v
        v = 0.9 * v + 1 + d * w
        return w - 0.05 * v

    assert module.weight.flatten().tolist() == pytest.approx([by_hand(w, 0.5) for w in (1.0, 2.0, 3.0, 4.0)])
    assert module.bias.tolist() == pytest.approx([by_hand(b, 0.0) for b in (5.0, 6.0)])


def test_adamw_by_hand() -> None:
    """A constant gradient of 1: every step is lr * 1/(1 + 1e-8), and decay takes lr d w before it.

    Fails if decay is coupled (L2), or touches the bias.
    """
    module = net()
    run(module, 2, weight_decay=0.5)
    weights = [1.0, 2.0, 3.0, 4.0]
    for _ in range(2):
        weights = [w * (1 - 0.1 * 0.5) - 0.1 for w in weights]
    assert module.weight.flatten().tolist() == pytest.approx(weights, rel=1e-5)
    assert module.bias.tolist() == pytest.approx([4.8, 5.8], rel=1e-5)


def test_groups_leave_no_parameter_out() -> None:
    """Fails if a model of vectors only, or of matrices only, gives the optimiser an empty group or loses a parameter."""
    module = net()
    for parameters in ([module.weight], [module.bias], [module.weight, module.bias]):
        groups = optimiser(parameters, "adamw", lr=0.1, weight_decay=0.3).param_groups
        assert sum(len(group["params"]) for group in groups) == len(parameters)
        assert all((group["weight_decay"] == 0.3) == (p.ndim > 1) for group in groups for p in group["params"])


def test_clipping_is_of_the_whole_norm() -> None:
    """Six entries of gradient 1: norm sqrt 6, scaled to 1; SGD then moves each by .1/sqrt 6.

    Fails if each parameter is clipped by itself, or clipping comes before the mask's zeros (norm of two free entries: sqrt 2).
    """
    module = net()
    run(module, 1, kind="sgd", momentum=0.0, clip=1.0)
    assert module.bias.tolist() == pytest.approx([5 - 0.1 / math.sqrt(6), 6 - 0.1 / math.sqrt(6)], rel=1e-5)
    held = net()
    mask = Mask({"weight": torch.tensor([[True, False], [False, False]]), "bias": torch.tensor([False, True])})
    run(held, 1, kind="sgd", momentum=0.0, clip=1.0, job=Job(mask=mask))
    assert held.bias.tolist() == pytest.approx([5.0, 6 - 0.1 / math.sqrt(2)], rel=1e-5)
    assert held.weight.flatten().tolist() == pytest.approx([1 - 0.1 / math.sqrt(2), 2.0, 3.0, 4.0], rel=1e-5)


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_masked_entries_stand_still_bit_for_bit(kind: str) -> None:
    """Published code zeroes gradients only. Fails if momentum or decay moves a masked entry, or a free one does not move.

    A parameter that the mask does not name does not move either.
    """
    module = net()
    mask = Mask({"weight": torch.tensor([[True, False], [False, False]])})
    run(module, 4, kind=kind, weight_decay=0.5, momentum=0.9, job=Job(mask=mask))
    assert module.weight.flatten().tolist()[1:] == [2.0, 3.0, 4.0]
    assert module.bias.tolist() == [5.0, 6.0]
    free = net()
    run(free, 4, kind=kind, weight_decay=0.5, momentum=0.9)
    assert module.weight[0, 0].item() == pytest.approx(free.weight[0, 0].item())
    assert free.weight[0, 0].item() < 1.0


def test_a_loss_that_is_not_finite_never_reaches_the_weights() -> None:
    """Fails if NaN is stepped on first and reported after."""
    module = net()
    losses: list[Callable[[], Tensor]] = [lambda: module.bias.sum(), lambda: module.bias.sum() * float("nan")]
    with pytest.raises(ContractBroken, match="t: the loss is nan at step 1"):
        optimise(module, losses, total=2, job=Job(), label="t", lr=0.1)
    assert module.bias.tolist() == pytest.approx([4.9, 5.9], rel=1e-5)


def test_after_sees_every_loss_and_may_end_the_loop() -> None:
    """Fails if the loss is that of after the step, or the loop goes on."""
    module = net()
    seen: list[tuple[int, float]] = []

    def after(step: int, loss: float) -> bool:
        seen.append((step, loss))
        return step == 1

    run(module, 5, kind="sgd", momentum=0.0, after=after)
    assert [step for step, _ in seen] == [0, 1]
    assert [loss for _, loss in seen] == pytest.approx([21.0, 21.0 - 0.6], rel=1e-5)
    assert module.bias.tolist() == pytest.approx([4.8, 5.8], rel=1e-5)


def test_frozen_parameters_and_leftovers() -> None:
    """Fails if a parameter out of scope moves by decay, or gradients stay behind on the module."""
    module = net()
    module.weight.requires_grad_(False)
    run(module, 2, weight_decay=0.5)
    assert module.weight.flatten().tolist() == [1.0, 2.0, 3.0, 4.0]
    assert module.bias.grad is None


def test_steps_are_counted() -> None:
    """Fails if a second loop starts counting anew."""
    module, job = net(), Job()
    run(module, 4, job=job)
    run(module, 3, job=job)
    assert job.notes == {"optimiser_steps": 7}
