"""Search for the forget set that an unlearner fails on most: bi-level selection over rows, or over groups of them.

min over w of sum_i w_i loss(theta(w); z_i) + gamma |w|^2, 0 <= w <= 1, 1'w = m, where theta(w) unlearns the rows by their weight: it
descends sum_i (1 - w_i) loss(z_i), by the sign of its gradient, and for `random_label` also sum_i w_i loss(z_i, other label). A sign step
does not change as w changes a little, so that the slope of the upper level is loss(theta(w); z_i) + 2 gamma w_i alone.

A row that is still known though nothing was done to keep it is what such a set is made of. Source: Fan et al. 2024 (P013). Differs: the
search starts at w = m / n and draws no set, where released code starts at a random one and can only trade some of its rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from expunge.contract.job import Job
from expunge.contract.model import Batch, Model
from expunge.engine.gradients import evaluating
from expunge.engine.order import cut, ordered
from expunge.facts.errors import InputError
from expunge.facts.rows import Rows

LOWER = ("finetune", "random_label")
BISECTIONS = 60
ROWS = 512
"""Rows of one pass that reads losses."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """Settings of the search; the unlearner inside is a short one, of fixed steps."""

    lower: str = "finetune"
    """What unlearns inside the search: finetune or random_label."""
    rounds: int = 20
    """Upper steps, each after unlearning from the target anew."""
    passes: int = 10
    """Passes over all rows of an unlearning."""
    batch_size: int = 128
    """Rows a lower step."""
    lr: float = 1e-3
    """Size of a lower step on every parameter: it takes the sign of the gradient."""
    step: float = 1e-2
    """Size of an upper step on the weights, a nat of loss."""
    gamma: float = 1e-4
    """Weight of |w|^2."""
    binarise: int = 20
    """Rounds between two roundings of w to the m largest."""

    def __post_init__(self) -> None:
        if self.lower not in LOWER:
            raise ValueError(f"lower must be {' or '.join(LOWER)}, not {self.lower!r}")
        if min(self.rounds, self.passes, self.batch_size, self.binarise) < 1:
            raise ValueError("rounds, passes, batch_size and binarise must be at least 1")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What a search found: the chosen groups and their rows in ascending order, the last weights unrounded, the upper loss a round."""

    groups: tuple[int, ...]
    rows: tuple[int, ...]
    weights: Tensor
    losses: tuple[float, ...]


def capped_simplex(values: Tensor, total: float) -> Tensor:
    """Return the nearest point with entries in 0..1 that sum to `total`: clip(values - mu) with mu by bisection."""
    if not 0 <= total <= len(values):
        raise InputError(f"{len(values)} weights of at most 1 cannot sum to {total}")
    low, high = values.min() - 1, values.max()
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if float((values - middle).clamp(0, 1).sum()) > total:
            low = middle
        else:
            high = middle
    return (values - (low + high) / 2).clamp(0, 1)


def largest(weights: Tensor, count: int) -> Tensor:
    """Return 1 at the `count` largest weights, the first of equal ones, and 0 elsewhere."""
    found = torch.zeros_like(weights)
    found[torch.sort(weights, descending=True, stable=True).indices[:count]] = 1.0
    return found


def worst_case(
    target: Model, rows: Rows, count: int, search: Search, *, job: Job, groups: Sequence[int] | None = None
) -> Selection:
    """Return the `count` rows (or groups 0..G-1, given one a row) that stay known to a model which unlearns them.

    The target is left as it was. A group counts by the mean over its rows.
    """
    group = torch.arange(len(rows)) if groups is None else torch.as_tensor(list(groups))
    sizes = torch.bincount(group).double()
    if len(group) != len(rows) or not bool((sizes > 0).all()):
        raise InputError("groups must be numbered from 0, one for each row and none empty")
    if not 0 < count < len(sizes):
        raise InputError(f"{count} of {len(sizes)} cannot be forgotten: some must be retained", do="ask for fewer")
    weights = torch.full((len(sizes),), count / len(sizes), dtype=torch.float64)
    before, upper = weights, []
    parts = cut(ordered(rows, job.seed, 0), search.batch_size)
    batches = [(torch.tensor(part), target.pack(rows.take(part))) for part in parts]
    for number in job.progress.track(range(search.rounds), total=search.rounds, label="worst case"):
        model = _unlearned(target, batches, weights[group], search, job)
        slope = torch.zeros_like(weights).index_add(0, group, row_losses(model, rows, job)) / sizes
        upper.append(float(weights @ slope))
        weights = capped_simplex(weights - search.step * (slope + 2 * search.gamma * weights), count)
        before = weights
        if (number + 1) % search.binarise == 0:
            weights = largest(weights, count)
    chosen = largest(before, count)
    return Selection(
        groups=tuple(chosen.nonzero()[:, 0].tolist()),
        rows=tuple(chosen[group].nonzero()[:, 0].tolist()),
        weights=before,
        losses=tuple(upper),
    )


@torch.no_grad()
def row_losses(model: Model, rows: Rows, job: Job) -> Tensor:
    """Return each row's mean loss over its scored positions, (rows,), float64, on the CPU."""
    with evaluating(model.module):
        return torch.cat([_losses(model, model.pack(rows.take(part)), job).double().cpu() for part in _parts(rows)])


def _parts(rows: Rows) -> list[list[int]]:
    return cut(list(range(len(rows))), ROWS)


def _losses(model: Model, batch: Batch, job: Job) -> Tensor:
    with job.autocast():
        return model.total_loss(batch) / batch.lengths().clamp_min(1)


def _unlearned(
    target: Model, batches: Sequence[tuple[Tensor, Batch]], weights: Tensor, search: Search, job: Job
) -> Model:
    """Return a copy of the target after sign steps: each row is kept by 1 - w, and where relabelled, taught another label by w."""
    model = target.copy()
    parameters = [one for one in model.module.parameters() if one.requires_grad]
    with evaluating(model.module), torch.enable_grad():
        for _ in range(search.passes):
            for i in torch.randperm(len(batches), generator=job.generator).tolist():
                indices, batch = batches[i]
                own = weights[indices].to(model.device, torch.float32)
                loss = ((1 - own) * _losses(model, batch, job)).sum()
                if search.lower == "random_label":
                    loss = loss + (own * _losses(model, model.relabel(batch, job.generator), job)).sum()
                found = torch.autograd.grad(loss, parameters)
                with torch.no_grad():
                    for one, slope in zip(parameters, found, strict=True):
                        one.sub_(search.lr * slope.sign())
    return model
