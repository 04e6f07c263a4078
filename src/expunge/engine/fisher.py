"""The diagonal of the Fisher information, empirical or expected: mean squared gradients, per example and vectorised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from expunge.contract.job import Job
from expunge.contract.model import Batch, Model
from expunge.engine.order import cut
from expunge.engine.per_example import squared_gradient_sum
from expunge.facts.rows import Rows


def diagonal_fisher(model: Model, rows: Rows, *, job: Job, batch_size: int = 1) -> dict[str, Tensor]:
    """Return, by parameter name, the mean over rows (or over batches) of the squared gradient of the mean loss.

    With `batch_size` 1 the gradients are per example, (1/n) sum_i (d loss_i / d theta)^2, vectorised; with more, gradients are
    averaged over each batch before they are squared, as published code does, which is a different number.
    """
    if batch_size == 1:
        sums = squared_gradient_sum(model, rows, job=job)
        return {name: value / len(rows) for name, value in sums.items()}
    named = {name: p for name, p in model.module.named_parameters() if p.requires_grad}
    found = {name: torch.zeros_like(p) for name, p in named.items()}
    batches = cut(range(len(rows)), batch_size)
    with torch.enable_grad():
        for indices in job.progress.track(batches, total=len(batches), label="gradients"):
            batch = model.pack([rows[i] for i in indices])
            losses = model.total_loss(batch, model.noise(batch, job.generator)) / batch.lengths().clamp_min(1)
            gradients = torch.autograd.grad(losses.mean(), list(named.values()), allow_unused=True)
            for name, gradient in zip(named, gradients, strict=True):
                if gradient is not None:
                    found[name].addcmul_(gradient, gradient, value=len(indices))
    return {name: value / len(rows) for name, value in found.items()}


@dataclass(frozen=True)
class _AsIf:
    """A classifier as if every row bore one class, each loss scaled by the root of that class's probability under the model."""

    model: Model
    label: int

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def total_loss(self, batch: Batch, noise: Tensor | None = None) -> Tensor:
        logs = torch.log_softmax(self.model.logits(batch).float(), dim=-1)[:, self.label]
        return -(0.5 * logs.detach()).exp() * logs


def expected_fisher(model: Model, rows: Rows, *, job: Job) -> dict[str, Tensor]:
    """Return, by name, the mean over rows of E_{y ~ p(y|row)} (d log p(y|row) / d theta)^2, exact over the classes of a classifier.

    The labels of the rows are not read: it says how far predictions depend on a weight. One pass a class.
    """
    with torch.no_grad():
        classes = model.logits(model.pack(rows[:1])).shape[-1]
    found: dict[str, Tensor] = {}
    for label in range(classes):
        for name, value in squared_gradient_sum(cast(Model, _AsIf(model, label)), rows, job=job).items():
            found[name] = found.get(name, torch.zeros_like(value)) + value / len(rows)
    return found
