"""Gradients of the mean loss over rows, and what every gradient pass shares: eval mode, trainable parameters, noise by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from expunge.contract.job import Job
from expunge.contract.model import Batch, Model
from expunge.contract.weights import is_sharded
from expunge.engine.order import cut
from expunge.engine.parallel import my_share, total
from expunge.facts.errors import InputError
from expunge.facts.rows import Row, Rows


def trainable(module: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that take gradients, by name; a tied one stands under its first name."""
    if is_sharded(module):
        raise InputError(
            "these gradients need whole weights, and the model is spread over processes", do="use DDP for this"
        )
    return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put every part in eval mode inside, so that no dropout draws and no statistics move, and back on leaving."""
    training = [part for part in module.modules() if part.training]
    module.train(False)
    try:
        yield
    finally:
        for part in training:
            part.training = True


@dataclass(frozen=True)
class RowNoise:
    """Noise that is a row's own, so that no number depends on how rows are put together in batches."""

    model: Model
    rows: Sequence[Row]
    seeds: list[int] | None

    @classmethod
    def of(cls, model: Model, rows: Sequence[Row], job: Job) -> RowNoise:
        """Draw one seed a row from the job's generator; none where the model's loss takes no noise."""
        noisy = len(rows) > 0 and model.noise(model.pack_apart(rows[:1]), torch.Generator()) is not None
        drawn = torch.randint(2**62, (len(rows),), generator=job.generator).tolist() if noisy else None
        return cls(model, rows, drawn)

    def draw(self, indices: Sequence[int]) -> Tensor | None:
        """Return the noise of some rows, stacked along the first dimension."""
        if self.seeds is None:
            return None
        drawn = []
        for i in indices:
            own = torch.Generator().manual_seed(self.seeds[i])
            drawn.append(self.model.noise(self.model.pack_apart([self.rows[i]]), own))
        return torch.cat([one for one in drawn if one is not None])


def noise_of_share(
    model: Model, batch: Batch, rows: Sequence[Row], mine: Sequence[int], generator: torch.Generator
) -> Tensor | None:
    """Return the noise of `batch`, which holds the rows at `mine` of a batch of `rows` that several processes share.

    It is drawn for all of `rows` everywhere, so that a row's noise and the generator's next number do not depend on the processes.
    """
    if len(mine) == len(rows) or model.noise(batch, torch.Generator()) is None:
        return model.noise(batch, generator)
    drawn = model.noise(model.pack(rows), generator)
    assert drawn is not None
    return drawn[list(mine)]


def mean_losses(model: Model, batch: Batch, noise: Tensor | None, job: Job) -> Tensor:
    """Return each example's loss over its scored positions, total_loss / length, (size,)."""
    with job.autocast():
        return model.total_loss(batch, noise) / batch.lengths().clamp_min(1)


def mean_gradient(model: Model, rows: Rows, *, job: Job, batch_size: int = 32) -> dict[str, Tensor]:
    """Return, by name, the gradient of the mean over rows of each row's mean loss, in eval mode.

    Rows count alike whatever their length. No `grad` is written; a parameter that no loss depends on has zeros.
    """
    named = trainable(model.module)
    found = {name: torch.zeros_like(parameter) for name, parameter in named.items()}
    noise = RowNoise.of(model, rows, job)
    batches = cut(my_share(len(rows)), batch_size)
    with evaluating(model.module), torch.enable_grad():
        for indices in job.progress.track(batches, total=len(batches), label="gradients"):
            losses = mean_losses(model, model.pack([rows[i] for i in indices]), noise.draw(indices), job)
            values = torch.autograd.grad(losses.sum() / len(rows), list(named.values()), allow_unused=True)
            for name, value in zip(named, values, strict=True):
                if value is not None:
                    found[name] += value
    return {name: total(value) for name, value in found.items()}
