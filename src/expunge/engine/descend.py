"""Gradient methods: draw forget and retain rows, pack them as one batch, take a step on the method's loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import accumulate, count, islice

import torch
from torch import Tensor

from expunge.contract.job import Job
from expunge.contract.model import Batch, Model
from expunge.engine.gradients import noise_of_share
from expunge.engine.loop import optimise
from expunge.engine.order import cut, ordered
from expunge.engine.parallel import batch_share, total
from expunge.facts.errors import InputError
from expunge.facts.rows import Row, Rows


@dataclass(frozen=True, kw_only=True)
class Descent:
    """Settings of the optimiser that gradient methods share; each method has its own tuned defaults."""

    lr: float = 1e-4
    """Peak learning rate. Defaults suit models of up to a few million parameters; 1B to 7B take 1e-5 to 5e-5."""
    epochs: int = 5
    """Passes over the forget rows (over the retain rows where a method trains on these alone)."""
    batch_size: int = 16
    """Forget rows a step; as many retain rows ride along."""
    weight_decay: float = 0.0
    """Decoupled weight decay; spares norms and biases."""
    warmup: float = 0.1
    """Share of the steps over which the learning rate rises from zero."""
    schedule: str = "linear"
    """How the learning rate falls after the warm-up: linear, cosine or constant."""
    clip: float = 1.0
    """Largest gradient norm; larger ones are scaled down."""
    max_steps: int = 0
    """Most optimiser steps in all; the schedule then ends with them, and stages are cut alike. 0 for as many as the passes have."""

    def __post_init__(self) -> None:
        if min(self.lr, self.max_steps) < 0 or self.epochs < 1 or self.batch_size < 1:
            raise ValueError("lr and max_steps must not be negative; epochs and batch_size must be at least 1")
        if self.schedule not in ("linear", "cosine", "constant"):
            raise ValueError(f"schedule must be linear, cosine or constant, not {self.schedule!r}")


@dataclass
class Step:
    """One step's rows. `joint` packs forget and retain rows together: one forward for both.

    Means are over the global batch: under several processes each holds its share of the rows and of the sum. A count has a row
    as often as processes take it. `whole` is the global batch, forget rows first, and `places` says where in it this share's rows are.
    """

    model: Model
    job: Job
    forget: Rows
    retain: Rows
    forget_index: Tensor
    forget_count: int
    retain_count: int
    epoch: int
    whole: tuple[Row, ...] = ()
    places: tuple[int, ...] = ()

    @cached_property
    def joint(self) -> Batch:
        """Forget rows, then retain rows, as one batch."""
        return self.model.pack([*self.forget, *self.retain])

    @cached_property
    def forget_batch(self) -> Batch:
        """The forget rows as one batch."""
        return self.model.pack(self.forget)

    @cached_property
    def retain_batch(self) -> Batch:
        """The retain rows as one batch."""
        return self.model.pack(self.retain)

    @cached_property
    def noise(self) -> Tensor | None:
        """The noise of `joint`: drawn once, so that a frozen copy sees the same."""
        return noise_of_share(self.model, self.joint, self.whole, self.places, self.job.generator)

    @cached_property
    def is_forget(self) -> Tensor:
        """True at the positions of `joint` that belong to forget rows, (positions,)."""
        return self.joint.owner < len(self.forget)

    def split(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return the forget part and the retain part of one value an example of `joint`."""
        return values[: len(self.forget)], values[len(self.forget) :]

    def total_losses(self) -> tuple[Tensor, Tensor]:
        """Return total_loss of the forget rows and of the retain rows, from one forward pass."""
        return self.split(self.model.total_loss(self.joint, self.noise))

    def lengths(self) -> tuple[Tensor, Tensor]:
        """Return the scored positions of the forget rows and of the retain rows."""
        return self.split(self.joint.lengths())

    def forget_mean(self, values: Tensor) -> Tensor:
        """Return this process's share of the mean of one value a forget row."""
        return values.sum() / max(1, self.forget_count)

    def retain_mean(self, values: Tensor) -> Tensor:
        """Return this process's share of the mean of one value a retain row."""
        return values.sum() / max(1, self.retain_count)

    @staticmethod
    def position_mean(values: Tensor, count: Tensor | int | None = None) -> Tensor:
        """Return this process's share of the mean over positions: sum of `values` over the global count."""
        own = torch.as_tensor(values.numel() if count is None else count, dtype=values.dtype, device=values.device)
        return values.sum() / total(own).clamp_min(1.0)


def riding(retain: Rows, seed: int) -> Iterator[int]:
    """Yield indices of the retain rows in the order in which they ride along, for ever: a new order each time round."""
    for cycle in count():
        yield from ordered(retain, seed, 10_000 + cycle)


def one_pass(
    model: Model,
    job: Job,
    batch_size: int,
    epoch: int,
    *,
    forget: Rows,
    retain: Rows,
    following: Iterator[int] | None = None,
) -> Iterator[Step]:
    """Yield the steps of one pass over forget, as many `following` retain rows beside it; without forget, over retain."""
    lead = forget if len(forget) else retain
    for indices in cut(ordered(lead, job.seed, epoch), batch_size):
        beside = list(islice(following, len(indices))) if following is not None else []
        first, second = (indices, beside) if len(forget) else ([], indices)
        unique = list(dict.fromkeys(second))
        (mine, times), (beside_mine, beside_times) = batch_share(len(first)), batch_share(len(unique))
        index = torch.tensor([first[i] for i in mine], dtype=torch.long)
        yield Step(
            model,
            job,
            forget.take(index.tolist()),
            retain.take([unique[i] for i in beside_mine]),
            index,
            len(first) * times,
            len(unique) * beside_times,
            epoch,
            whole=(*forget.take(first), *retain.take(unique)),
            places=(*mine, *(len(first) + i for i in beside_mine)),
        )


def shared_out(stages: Sequence[int], most: int) -> list[int]:
    """Return how many steps each stage takes where all may take `most` (0: no bound): cut alike, to one at least, `most` in all.

    What alternates or repairs would else lose its last stages and be another method. Raises InputError where `most` has not a step a stage.
    """
    if not most or sum(stages) <= most:
        return list(stages)
    if most < len(stages):
        raise InputError(
            f"max_steps of {most} leaves stages without a step: there are {len(stages)}",
            do="allow more, or fewer epochs",
        )
    ends = [end * (most - len(stages)) // (sum(stages) - len(stages)) for end in accumulate(n - 1 for n in stages)]
    return [1 + end - begin for begin, end in zip([0, *ends], ends, strict=False)]


def descend_on(
    model: Model,
    job: Job,
    descent: Descent,
    losses: Iterable[Callable[[], Tensor]],
    *,
    total: int,
    label: str,
    after: Callable[[int, float], bool] | None = None,
) -> None:
    """Take one optimiser step of `descent` for each of `total` losses, in place; steps taken before count towards its `max_steps`."""
    if descent.max_steps:
        total = min(total, max(0, descent.max_steps - int(job.notes.get("optimiser_steps", 0))))
    optimise(
        model.module,
        islice(losses, total),
        total=total,
        job=job,
        label=label,
        lr=descent.lr,
        weight_decay=descent.weight_decay,
        warmup=descent.warmup,
        schedule=descent.schedule,
        clip=descent.clip,
        after=after,
    )


def descend(
    model: Model,
    job: Job,
    descent: Descent,
    loss: Callable[[Step], Tensor],
    *,
    forget: Rows | None = None,
    retain: Rows | None = None,
    label: str = "removing",
    after_epoch: Callable[[int], bool] | None = None,
) -> None:
    """Minimise `loss(step)` over the parameters in scope, in place.

    With both splits an epoch is one pass over forget, and each step draws as many retain rows, which cycle in an order of their own; with
    one split alone it is a pass over that. `after_epoch(epoch)` may end the run by returning True.
    """
    forget, retain = forget if forget is not None else Rows(()), retain if retain is not None else Rows(())
    per_epoch = math.ceil((len(forget) or len(retain)) / descent.batch_size)

    def losses() -> Iterator[Callable[[], Tensor]]:
        following = riding(retain, job.seed) if len(forget) and len(retain) else None
        for epoch in range(descent.epochs):
            steps = one_pass(model, job, descent.batch_size, epoch, forget=forget, retain=retain, following=following)
            yield from (partial(loss, step) for step in steps)

    def after(index: int, _: float) -> bool:
        done, rest = divmod(index + 1, per_epoch)
        return rest == 0 and after_epoch is not None and after_epoch(done - 1)

    descend_on(model, job, descent, losses(), total=descent.epochs * per_epoch, label=label, after=after)
