"""Plain training steps with a look after each: what an attack that relearns is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

from torch import Tensor

from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.engine.loop import optimise
from expunge.engine.order import cut, ordered
from expunge.engine.parallel import my_share, total
from expunge.facts.errors import ContractBroken, InputError
from expunge.facts.rows import Rows


def teach(
    model: Model, rows: Rows, *, job: Job, steps: int, lr: float, batch_size: int, after: Callable[[int], None]
) -> None:
    """Take `steps` AdamW steps of constant rate on the mean loss over scored positions, in place; every parameter moves.

    `after(done)` is called behind each step with the number of steps done. Epochs follow one another in an order of their own, keyed on
    the job's seed and row ids. Raises InputError where the loss is not finite: then the attack says nothing of this model.
    """
    for parameter in model.module.parameters():
        parameter.requires_grad_(True)

    def losses() -> Iterator[Callable[[], Tensor]]:
        for epoch in count():
            for indices in cut(ordered(rows, job.seed, epoch), batch_size):
                yield lambda indices=indices: _mean_loss(model, rows.take(indices), job)  # type: ignore[misc]

    def look(index: int, _: float) -> bool:
        after(index + 1)
        return index + 1 == steps

    try:
        optimise(model.module, losses(), total=steps, job=job, label="relearning", lr=lr, clip=1.0, after=look)
    except ContractBroken as broken:
        raise InputError(f"this model cannot be taught: {broken.what}", do="lower the attack's lr") from broken


def _mean_loss(model: Model, rows: Rows, job: Job) -> Tensor:
    """Return this process's share of the mean; one without rows of its own adds zero."""
    mine = my_share(len(rows))
    batch = model.pack(rows.take(mine or [0]))
    losses = model.total_loss(batch, model.noise(batch, job.generator))
    own = batch.lengths().sum().to(losses)
    counts = 1.0 if mine else 0.0
    return losses.sum() * counts / total(own * counts)
