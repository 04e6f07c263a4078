"""Low-rank changes of feed-forward parts, one group a block, that a group lasso can switch off."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.engine.edit import write
from expunge.engine.last_sites import only
from expunge.engine.order import ordered
from expunge.engine.parallel import total, world
from expunge.engine.stage_training import LowRank, low_rank
from expunge.engine.staged import changed
from expunge.facts.errors import InputError
from expunge.facts.rows import Rows

ZERO = 1e-3
"""A block's change no larger than this share of its weights is none: Adam ends within its last steps of a zero that the lasso holds."""
Groups = Mapping[str, Mapping[str, LowRank]]
"""The low-rank change of each linear map, by name, of each block."""


def feed_forward_maps(model: Model) -> dict[str, list[str]]:
    """Return names of the linear maps in each block's feed-forward part; of a block that names none (an MLP's), all of them."""
    sites = model.sites()
    linear = [name for name, module in model.module.named_modules() if isinstance(module, torch.nn.Linear)]
    found = {}
    for block in sites.blocks:
        parts = [name for name in sites.feed_forward if name.startswith(f"{block}.")] or [block]
        found[block] = [name for name in linear if any(name.startswith(f"{part}.") for part in parts)]
    found = {block: names for block, names in found.items() if names}
    if not found:
        raise InputError("no block of this network holds a linear map to change", do="use a vit or an mlp")
    return found


@contextmanager
def block_lora(model: Model, rank: int, seed: int) -> Iterator[Groups]:
    """Put a low-rank change on every feed-forward map inside, and let nothing else take gradients; all is as before on leaving."""
    maps = feed_forward_maps(model)
    names = [name for block in maps.values() for name in block]
    with low_rank(model, names, rank, seed) as changes:
        free = tuple(f"{name}.parametrizations.weight.0.{side}" for name in names for side in ("down", "up"))
        with only(model, free):
            yield {block: {name: changes[name] for name in own} for block, own in maps.items()}


def group_lasso(groups: Groups) -> Tensor:
    """Return the sum over blocks of the length of all their factors together; its gradient at a block of zeros is zero."""
    return torch.stack(
        [
            torch.linalg.vector_norm(torch.cat([f.flatten() for change in block.values() for f in change.parameters()]))
            for block in groups.values()
        ]
    ).sum()


def short_of(bound: float, share: Tensor) -> Tensor:
    """Return this process's share of ReLU(bound - mean) over the global batch, from its share of the mean."""
    return (total(share.detach()) < bound) * (bound / world()[1] - share)


@torch.no_grad()
def merge(model: Model, job: Job, groups: Groups) -> dict[str, float]:
    """Add every block's change to its weights, and return how large it is beside them; one within `ZERO` is dropped and returned as 0."""
    sizes = {}
    for block, changes in groups.items():
        weights = {name: model.module.get_submodule(name).get_parameter("weight") for name in changes}
        after = {name: changed(weights[name], change.down, change.up) for name, change in changes.items()}
        moved = sum(float((after[name] - weight).square().sum()) for name, weight in weights.items())
        size = (moved / sum(float(weight.square().sum()) for weight in weights.values())) ** 0.5
        sizes[block] = size if size > ZERO else 0.0
        if sizes[block]:
            for name, weight in weights.items():
                write(job, f"{name}.weight", weight, after[name])
    return sizes


def few_of_each(rows: Rows, most: int, seed: int) -> Rows:
    """Return at most `most` rows of each label, drawn under a seed, in the order they came; all of them where `most` is 0."""
    if not most:
        return rows
    taken: dict[int, list[int]] = {}
    for i in ordered(rows, seed, 0):
        taken.setdefault(int(rows[i]["label"]), []).append(i)
    return rows.take(sorted(i for own in taken.values() for i in own[:most]))


@torch.no_grad()
def class_means(model: Model, several: Sequence[Rows], classes: int) -> Tensor:
    """Return the mean logits of the rows of each label, (classes, classes); NaN for a label that no row bears."""
    sums, counts = torch.zeros(classes, classes), torch.zeros(classes, 1)
    for rows in several:
        for first in range(0, len(rows), 256):
            batch = model.pack(rows[first : first + 256])
            logits, targets = model.logits(batch).float().cpu(), batch.targets.cpu()
            sums.index_add_(0, targets, logits)
            counts.index_add_(0, targets, torch.ones(len(targets), 1))
    return (sums / counts).to(model.device)
