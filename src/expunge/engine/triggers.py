"""Search for the change of an input that sends every row to one class: what a backdoor answers to, found without having seen it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from expunge.contract.job import Job
from expunge.contract.model import Batch, Model
from expunge.engine.descend import Descent, Step, descend
from expunge.engine.inputs import input_of, moved_to
from expunge.engine.order import cut
from expunge.engine.predict import over_rows
from expunge.facts.errors import InputError
from expunge.facts.rows import Rows

MAD_TO_SD = 1.4826
"""A standard deviation in median absolute deviations, for Gaussian numbers."""
RAISE, LOWER, WAIT = 1.5, 1.5**1.5, 5
"""How the weight of a mask's size follows success: raised after WAIT steps in a row that reach it, lowered after as many that do not."""
START = 1e-3
"""The first weight of a mask's size."""
MOST_ROWS = 512
"""Rows read at once: those of as many classes as fit, at least one. All rows of a hundred classes would take
gigabytes, and longer."""


@dataclass(frozen=True, kw_only=True)
class Trigger:
    """What is put into an input (`pattern`) and how much of it where (`mask`, in [0, 1]; one number a place for all channels)."""

    mask: Tensor
    pattern: Tensor
    success: float
    """Share of the rows it was searched on that the model then gives the class searched for."""

    @property
    def size(self) -> float:
        """How much of the input it replaces: the sum of the mask."""
        return float(self.mask.sum())

    def on(self, batch: Batch) -> Batch:
        """Return the batch with the trigger in every input: (1 - mask) x + mask pattern."""
        return moved_to(batch, (1 - self.mask) * input_of(batch) + self.mask * self.pattern)


def exposed(model: Model, rows: Rows, *, accuracy: float, lr: float, steps: int, job: Job) -> Model:
    """Return a copy that ascent on `rows`, all in one batch, has brought to `accuracy` on them, or as far as `steps` reach.

    What is left of a backdoored model is said to answer with the backdoor's class.
    """
    copy, batch = model.copy(), model.pack(rows)
    ascent = Descent(lr=lr, epochs=steps, batch_size=len(rows), schedule="constant", warmup=0.0)

    def collapsed(_: int) -> bool:
        with torch.no_grad():
            return bool((copy.logits(batch).argmax(-1) == batch.targets).float().mean() <= accuracy)

    def loss(step: Step) -> Tensor:
        return -step.forget_mean(step.total_losses()[0])

    descend(copy, job.apart(), ascent, loss, forget=rows, label="exposing", after_epoch=collapsed)
    return copy


def invert(
    model: Model, batch: Batch, labels: Sequence[int], *, steps: int, lr: float, wanted: float, job: Job
) -> dict[int, Trigger]:
    """Return, a class of `labels`, the smallest trigger found by Adam with which a share `wanted` of the rows gets that class.

    Minimises mean -log p(class) + weight * sum of the mask, each class's weight following its own success; patterns stay within the
    range that the rows' inputs have. Where no step reaches `wanted`, the step with the highest share stands. Deterministic; several
    classes are searched in one batch, and none of them depends on another.
    """
    parts = cut(labels, max(1, MOST_ROWS // batch.size))
    found: dict[int, Trigger] = {}
    for part in job.progress.track(parts, total=len(parts), label="trigger"):
        found |= _inverted(model, batch, part, steps=steps, lr=lr, wanted=wanted, job=job)
    return found


def _inverted(
    model: Model, batch: Batch, labels: Sequence[int], *, steps: int, lr: float, wanted: float, job: Job
) -> dict[int, Trigger]:
    """Return `invert` of classes that are searched in one batch."""
    x = input_of(batch).detach()
    low, high, many, rows = x.amin(), x.amax(), len(labels), len(x)
    places = (1, *x.shape[2:]) if x.ndim == 4 else tuple(x.shape[1:])
    raw = [torch.full((many, *places), -1.0).to(x), torch.zeros((many, *x.shape[1:])).to(x)]
    for one in raw:
        one.requires_grad_(True)
    adam = torch.optim.Adam(raw, lr=lr)
    targets = torch.tensor(labels, device=x.device).repeat_interleave(rows)
    repeated = replace(batch, owner=torch.arange(many * rows, device=x.device), size=many * rows)
    weight, streak = torch.full((many,), START).to(x), torch.zeros(many, dtype=torch.long)
    best: dict[int, Trigger] = {}
    with torch.enable_grad():
        for _ in job.progress.track(range(steps), total=steps, label="trigger"):
            mask, pattern = raw[0].sigmoid(), low + (high - low) * raw[1].sigmoid()
            shown = ((1 - mask)[:, None] * x + (mask * pattern)[:, None]).flatten(0, 1)
            with job.autocast():
                logits = model.logits(moved_to(repeated, shown, targets))
            success = (logits.argmax(-1) == targets).view(many, rows).float().mean(1)
            sizes = mask.flatten(1).sum(1)
            for i, label in enumerate(labels):
                found = Trigger(mask=mask[i].detach(), pattern=pattern[i].detach(), success=float(success[i]))
                if label not in best or _is_better(found, best[label], wanted):
                    best[label] = found
            reached = (success >= wanted).cpu()
            streak = torch.where(reached, streak.clamp_min(0) + 1, streak.clamp_max(0) - 1)
            weight *= torch.where(streak >= WAIT, RAISE, torch.where(streak <= -WAIT, 1 / LOWER, 1.0)).to(x)
            streak[streak.abs() >= WAIT] = 0
            losses = cross_entropy(logits, targets, reduction="none").view(many, rows).mean(1)
            raw[0].grad, raw[1].grad = torch.autograd.grad((losses + weight * sizes).sum(), raw)
            adam.step()
    return best


def _is_better(one: Trigger, other: Trigger, wanted: float) -> bool:
    if (one.success >= wanted) and (other.success >= wanted):
        return one.size < other.size
    return one.success > other.success


def seen_past(model: Model, rows: Rows, trigger: Trigger, label: int, plain: Tensor) -> tuple[Rows, int]:
    """Return the rows with another label where the label `label` hangs on the trigger's places, and how many these are.

    Such a row bears the label, the model gives it, and gives another once the places are as `plain` (one input) has them (the place of the
    largest mask wholly, the others in proportion): that other one is its new label.
    """
    places = trigger.mask / trigger.mask.amax()

    def read(batch: Batch) -> Tensor:
        plainer = moved_to(batch, (1 - places) * input_of(batch) + places * plain)
        return torch.stack([batch.targets, *(model.logits(one).argmax(-1) for one in (batch, plainer))], dim=1)

    given, now, without = over_rows(model, rows, read).unbind(1)
    hangs = (given == label) & (now == label) & (without != label)
    pairs = zip(rows, hangs.tolist(), without.tolist(), strict=True)
    return Rows(tuple(row.replace(label=other) if does else row for row, does, other in pairs), rows.name), int(
        hangs.sum()
    )


def smallest(sizes: Mapping[int, float]) -> tuple[int, float]:
    """Return the class with the smallest trigger, and by how many (robust) standard deviations it lies below the median class.

    The deviation is the median absolute one times 1.4826; above 2 the class is taken for a backdoor's.
    """
    if len(sizes) < 3:
        raise InputError(f"of {len(sizes)} classes none can stand out")
    found = torch.tensor(list(sizes.values()), dtype=torch.float64)
    middle = found.quantile(0.5)
    spread = MAD_TO_SD * float((found - middle).abs().quantile(0.5))
    label = min(sizes, key=lambda one: sizes[one])
    return label, float((middle - sizes[label]) / max(spread, 1e-12))
