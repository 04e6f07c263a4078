"""Train a model by a recipe: how targets, retrained and shadow models are made."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor

from expunge.contract.apply import undisturbed
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.engine.gradients import noise_of_share
from expunge.engine.loop import optimise
from expunge.engine.order import cut, ordered
from expunge.engine.parallel import batch_share, total
from expunge.engine.precision import computing_in
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Rows


def starting(model: Model, seed: int, job: Job) -> Model:
    """Return a model of the architecture of `model` to train by the recipe: the job's base model, else newly drawn weights."""
    return model.fresh(seed) if job.base is None else job.base()


@contextmanager
def seeded(job: Job, seed: int) -> Iterator[Job]:
    """Give a job all of whose draws, noise of a diffusion model and dropout alike, hang on `seed` alone: not on what was trained before.

    A part of a training that may be run again without the other parts needs one.
    """
    with undisturbed(seed):
        yield replace(job, seed=seed, generator=torch.Generator())


def fit(
    model: Model,
    rows: Rows,
    recipe: Recipe,
    *,
    job: Job,
    label: str = "training",
    penalty: Callable[[Tensor], Tensor] | None = None,
    movable: frozenset[str] | None = None,
) -> Model:
    """Train `model` in place on `rows` and return it in eval mode; the loss is the mean over scored positions of a batch.

    `penalty` of that mean is added to it, for methods that act before training; it does not count in `fit_loss`. `movable` names
    the parameters that training may move; None moves all.

    The mean is over positions of the global batch, also under several processes (token-weighted). Deterministic given weights, rows and
    recipe. Ends early at `recipe.stop_loss`. Notes the last epoch's loss as `fit_loss`.
    """
    model.module.train(True)
    batches = math.ceil(len(rows) / recipe.batch_size)
    sums = [0.0, 0.0]
    for name, parameter in model.module.named_parameters():
        parameter.requires_grad_(movable is None or name in movable)

    def one(indices: list[int]) -> Callable[[], Tensor]:
        def loss() -> Tensor:
            whole = rows.take(indices)
            mine, times = batch_share(len(whole))
            batch = model.pack(whole.take(mine))
            noise = noise_of_share(model, batch, whole, mine, job.generator)
            with computing_in(recipe.precision, model.device):
                losses = model.total_loss(batch, noise)
            count = total(batch.lengths().sum().to(losses))
            sums[0] += float(total(losses.detach().sum())) / times
            sums[1] += float(count) / times
            mean = losses.sum() / count
            return mean if penalty is None else mean + penalty(mean)

        return loss

    def steps() -> Iterator[Callable[[], Tensor]]:
        for epoch in range(recipe.epochs):
            for indices in cut(ordered(rows, recipe.seed, epoch), recipe.batch_size):
                yield one(indices)

    def after(step: int, _: float) -> bool:
        if (step + 1) % batches:
            return False
        job.notes["fit_loss"] = sums[0] / sums[1]
        job.notes["fit_epochs"] = (step + 1) // batches
        sums[:] = [0.0, 0.0]
        return recipe.stop_loss is not None and job.notes["fit_loss"] < recipe.stop_loss

    optimise(
        model.module,
        steps(),
        total=recipe.epochs * batches,
        job=job,
        label=label,
        lr=recipe.lr,
        weight_decay=recipe.weight_decay,
        warmup=recipe.warmup,
        schedule=recipe.schedule,
        kind=recipe.optimiser,
        momentum=recipe.momentum,
        clip=recipe.clip,
        after=after,
    )
    model.module.train(False)
    return model
