"""Selective synaptic dampening: which weights matter more to the forget rows than to all rows, and how far they shrink."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from safetensors.torch import load, save
from torch import Tensor

from expunge.contract.job import Job
from expunge.contract.model import Batch, Model
from expunge.contract.splits import Splits
from expunge.contract.weights import weights_digest
from expunge.engine.edit import write
from expunge.engine.per_example import gradient_size_sum
from expunge.facts.rows import Rows

Importance = Callable[[Rows], Mapping[str, Tensor]]
MOST_KEPT = 2**28
"""Entries of an importance that is kept for later removals (a gibibyte of float32); that of a larger model is not."""


@dataclass(frozen=True)
class Importances:
    """How much each entry of each parameter matters to the forget rows, and to forget and retain rows together."""

    forget: Mapping[str, Tensor]
    everywhere: Mapping[str, Tensor]

    @classmethod
    def of(cls, model: Model, splits: Splits, importance: Importance, *, kind: str, job: Job) -> Importances:
        """Measure both by an importance that is a mean over rows; `kind` names it and its settings.

        That of all rows is the same for every request and setting of a target: `job.cache` keeps it, and later removals read forget rows
        alone. Not where a loss draws noise: there a forget row must have the same draws in both, or the ratio is one of noise.
        """
        given = splits.forget
        if model.noise(model.pack_apart(given[:1]), torch.Generator()) is not None:
            own = importance(given)
            job.notes["all_rows_read"] = len(splits.retain)
            return cls(own, _mean(own, len(given), importance(splits.retain), len(splits.retain)))
        rows, contents = (*given, *splits.retain), (*splits.contents("forget"), *splits.contents("retain"))
        order = sorted(range(len(rows)), key=lambda i: rows[i].id)
        every = Rows(tuple(rows[i] for i in order), "all")
        digest = every.digest(contents[i] for i in order)
        own = importance(given.take(sorted(range(len(given)), key=lambda i: given[i].id)))
        return cls(own, _kept(model, every, digest, importance, kind, job))

    def ratios(self) -> Tensor:
        """Return I_forget / I_all of every entry in one vector; entries that matter to no row have none and are left out."""
        found = [own.flatten() / self.everywhere[name].flatten() for name, own in self.forget.items()]
        ratios = torch.cat(found)
        return ratios[ratios.isfinite()]


def _mean(one: Mapping[str, Tensor], n: int, other: Mapping[str, Tensor], m: int) -> dict[str, Tensor]:
    """Return the mean over n + m rows from the means over n and over m."""
    return {name: (n * value + m * other[name]) / (n + m) for name, value in one.items()}


def _kept(model: Model, rows: Rows, digest: str, importance: Importance, kind: str, job: Job) -> Mapping[str, Tensor]:
    """Return the importance of all rows, from `job.cache` where it was measured before, and note how many rows were read for it."""
    names = [name for name, parameter in model.module.named_parameters() if parameter.requires_grad]
    key, kept = job.kept("importance of all rows", kind, weights_digest(model.module), digest, *names)
    job.notes["all_rows_read"] = 0 if kept else len(rows)
    if kept:
        return {name: value.to(model.device) for name, value in load(kept).items()}
    found = importance(rows)
    if sum(value.numel() for value in found.values()) <= MOST_KEPT:
        job.cache.put(key, save({name: value.contiguous() for name, value in found.items()}))
    return found


def dampen(model: Model, importances: Importances, *, alpha: float, dampening: float, job: Job) -> None:
    """Multiply entries with I_forget > alpha I_all by min(dampening I_all / I_forget, 1), in place; note how many were chosen."""
    selected = 0
    for name, parameter in model.module.named_parameters():
        if name not in importances.forget:
            continue
        own, everywhere = importances.forget[name], importances.everywhere[name]
        chosen = own > alpha * everywhere
        factor = torch.clamp(dampening * everywhere / own.clamp_min(1e-30), max=1.0)
        write(job, name, parameter, torch.where(chosen, parameter * factor, parameter))
        selected += int(chosen.sum())
    job.notes["selected_entries"] = selected


@dataclass(frozen=True)
class _Outputs:
    """A classifier whose loss is the squared length of its logits, summed over scored positions: no label enters it."""

    model: Model

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def total_loss(self, batch: Batch, noise: Tensor | None = None) -> Tensor:
        squares = self.model.logits(batch).float().square().sum(-1)
        return squares.new_zeros(batch.size).index_add(0, batch.owner, squares)


def output_sensitivity(model: Model, rows: Rows, *, job: Job) -> dict[str, Tensor]:
    """Return, by name, the mean over rows of |d ||f(row)||^2 / d theta|, f the logits (a mean over a text's scored positions)."""
    sums = gradient_size_sum(cast(Model, _Outputs(model)), rows, job=job)
    return {name: value / len(rows) for name, value in sums.items()}
