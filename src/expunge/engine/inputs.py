"""Search on the input side: the weights stay and the input moves, for models whose batch holds one float tensor, `x`."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from expunge.contract.job import Job
from expunge.contract.model import Batch, Model
from expunge.engine.order import cut
from expunge.engine.predict import ROWS
from expunge.facts.errors import InputError


def input_of(batch: Batch) -> Tensor:
    """Return the inputs of a batch, (examples, ...); refuses one that has no float input to move (token ids)."""
    x = batch.inputs.get("x")
    if x is None or not x.is_floating_point():
        raise InputError(
            "these inputs cannot be moved a little: they are no numbers", do="use a model of images or tables"
        )
    return x


def moved_to(batch: Batch, x: Tensor, targets: Tensor | None = None) -> Batch:
    """Return the batch with other inputs, and other targets where given."""
    return replace(batch, inputs={**batch.inputs, "x": x}, targets=batch.targets if targets is None else targets)


def input_gradient(model: Model, batch: Batch, *, job: Job) -> Tensor:
    """Return the gradient of each example's total loss by its own input, shaped as the inputs; no `grad` is written.

    Examples are read a few at a time.
    """
    whole = input_of(batch).detach()
    found = []
    for part in cut(range(batch.size), ROWS):
        x = whole[part].requires_grad_(True)
        own = replace(batch, owner=torch.arange(len(part), device=x.device), size=len(part))
        with torch.enable_grad(), job.autocast():
            total = model.total_loss(moved_to(own, x, batch.targets[part])).sum()
        found.append(torch.autograd.grad(total, x)[0])
    return torch.cat(found)


def stepped_across(model: Model, batch: Batch, *, size: float, job: Job) -> Batch:
    """Return the batch with every input entry moved by `size` to where the loss of its target rises (one signed gradient step)."""
    return moved_to(batch, input_of(batch) + size * input_gradient(model, batch, job=job).sign())


def error_maximising(model: Model, start: Batch, *, steps: int, lr: float, penalty: float, job: Job) -> Tensor:
    """Return inputs found by Adam from those of `start` at which the loss of its targets is high and the inputs stay small.

    Minimises -mean loss + penalty * mean over examples of the sum of squared entries.
    """
    x = input_of(start).detach().clone().requires_grad_(True)
    adam = torch.optim.Adam([x], lr=lr)
    with torch.enable_grad():
        for _ in job.progress.track(range(steps), total=steps, label="noise"):
            with job.autocast():
                error = model.total_loss(moved_to(start, x)).mean()
            objective = penalty * x.square().flatten(1).sum(1).mean() - error
            x.grad = torch.autograd.grad(objective, x)[0]
            adam.step()
    return x.detach()
