"""Losses of many suffixes that differ in one token: what stands in front of that token is computed once and kept."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from expunge.contract.model import Batch, Model
from expunge.engine.kernels import fast_linear
from expunge.engine.score import most_positions
from expunge.engine.spliced import Spliced

POSITIONS = 8192
"""Positions run at once."""


@dataclass(frozen=True)
class Prefixed:
    """Spliced rows in columns of which the first `begin` hold what stands before the suffix, padded on the left.

    The suffix then has the same columns in every row. `cache` has the keys and values of the first `begin` columns. `at` (scored,) are the
    columns that predict, counted from the suffix on, and `owner` their rows.
    """

    ids: Tensor
    mask: Tensor
    positions: Tensor
    begin: int
    count: int
    at: Tensor
    owner: Tensor
    targets: Tensor
    cache: Any

    def keep(self) -> int:
        """Return how many of the last columns hold all that predict."""
        return self.ids.shape[1] - self.begin - int(self.at.min())


def prefixed(model: Model, spliced: Spliced) -> Prefixed | None:
    """Return the rows with the cache of their prefixes; None where the architecture keeps a state instead of keys and values."""
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    module: Any = model.module
    if not all(isinstance(layer, DynamicLayer) for layer in DynamicCache(config=module.config).layers):
        return None
    known, seen = spliced.batch.inputs["ids"], spliced.batch.inputs["mask"].bool()
    begin, width = int(spliced.places.max()), known.shape[1]
    shift = begin - spliced.places
    columns = torch.arange(width, device=known.device)[None] + shift[:, None]
    total = int((seen.sum(1) + shift).max())
    ids = known.new_zeros(len(known), begin + width).scatter(1, columns, known)[:, :total]
    mask = seen.new_zeros(len(known), begin + width).scatter(1, columns, seen)[:, :total].long()
    positions = (torch.arange(total, device=known.device)[None] - shift[:, None]).clamp_min(0)
    flat, owner = spliced.batch.inputs["at"], spliced.batch.owner
    at = flat % width - spliced.places[owner]
    # a cache without a configuration keeps all keys, and a window is then a matter of the mask
    found = Prefixed(ids, mask, positions, begin, spliced.count, at, owner, spliced.batch.targets, DynamicCache())
    return _extended(model, found, ids[:, :begin], 0)


def swapped_losses(model: Model, rows: Prefixed, suffix: Tensor, swaps: Tensor) -> Tensor:
    """Return the mean loss a token behind the suffix (count,) with each of `swaps` (n, 2), places and tokens, made in it by itself.

    A swap at place j reads the columns from j on and no other: those before are read once for all swaps.
    """
    losses = torch.empty(len(swaps), dtype=torch.float64)
    with torch.no_grad(), fast_linear():
        every = _extended(model, rows, suffix.expand(len(rows.ids), -1)[:, :-1], rows.begin)
        for place in sorted(set(swaps[:, 0].tolist())):
            chosen = (swaps[:, 0] == place).nonzero()[:, 0]
            run = rows.ids.shape[1] - rows.begin - place
            most = min(POSITIONS // run, most_positions(model) // rows.keep()) // len(rows.ids)
            for part in chosen.split(max(1, most)):
                changed = suffix.expand(len(part), -1).clone()
                changed[:, place] = swaps[part, 1].to(changed)
                losses[part] = _losses(model, every, changed, place).double().cpu()
    return losses


@torch.no_grad()
def plain_losses(model: Model, spliced: Spliced, suffix: Tensor, swaps: Tensor) -> Tensor:
    """Return what `swapped_losses` does, from whole rows: for architectures without keys and values to keep."""
    found = []
    for place, token in swaps.tolist():
        changed = suffix.clone()
        changed[place] = token
        found.append(mean_loss(model, spliced.filled(changed)))
    return torch.stack(found).double().cpu()


def mean_loss(model: Model, batch: Batch) -> Tensor:
    """Return the mean loss a scored token over all rows."""
    return model.total_loss(batch).sum() / batch.lengths().sum()


@torch.no_grad()
def _extended(model: Model, rows: Prefixed, ids: Tensor, begin: int) -> Prefixed:
    """Return the rows with the keys and values of `ids`, which stand from column `begin` on, put behind those of their cache."""
    module: Any = model.module
    cache, end = copy.deepcopy(rows.cache), begin + ids.shape[1]
    if end > begin:
        module.base_model(
            input_ids=ids,
            attention_mask=rows.mask[:, :end],
            position_ids=rows.positions[:, begin:end],
            past_key_values=cache,
            use_cache=True,
        )
    return replace(rows, cache=cache)


def _losses(model: Model, rows: Prefixed, suffixes: Tensor, place: int) -> Tensor:
    """Return the mean loss a token behind each suffix (n, count); all have the same tokens before `place`, which the cache holds."""
    from transformers import DynamicCache

    first, each, size = rows.begin + place, len(suffixes), len(rows.ids)
    cache = copy.deepcopy(rows.cache) if first else DynamicCache()
    if first:
        cache.crop(first - cache.get_seq_length())
        cache.batch_repeat_interleave(each)
    behind = rows.ids[:, rows.begin + rows.count :]
    own = suffixes[None, :, place:].expand(size, -1, -1)
    ids = torch.cat([own, behind[:, None].expand(-1, each, -1)], dim=2).flatten(0, 1)
    logits = model.module(
        input_ids=ids,
        attention_mask=rows.mask.repeat_interleave(each, 0),
        position_ids=rows.positions[:, first:].repeat_interleave(each, 0),
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=rows.keep(),
    ).logits
    at = rows.at - rows.at.min()
    scored = logits.unflatten(0, (size, each))[rows.owner, :, at].float()
    targets = rows.targets[:, None].expand(-1, each)
    return nn.functional.cross_entropy(scored.flatten(0, 1), targets.flatten(), reduction="none").view(-1, each).mean(0)
