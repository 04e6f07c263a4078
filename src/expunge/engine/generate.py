"""Greedy generation that wastes no step: prompts sorted by length, finished rows leave the batch and its cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from expunge.engine.kernels import fast_linear
from expunge.engine.order import cut
from expunge.engine.parallel import batches_of, gather_objects


def generate(
    module: Any, prompts: Sequence[Sequence[int]], eos: int, max_new_tokens: int, batch_size: int | None = None
) -> list[list[int]]:
    """Return the greedy continuation of every prompt, without the end token, at most `max_new_tokens` long.

    Prompts of near-equal length share a batch, padded on the left under a mask made from lengths (not from `ids != pad`), with
    positions that count real tokens only, as in teacher-forced scoring; a row also ends where the model reads no further. Under
    several processes each takes whole batches: a near-tie then falls as in one process. A batch is 128 prompts on a CPU, where a
    step reads all weights from memory once, and 64 elsewhere, where the cache of a large model has to fit.
    """
    at_once = batch_size or (128 if module.get_input_embeddings().weight.device.type == "cpu" else 64)
    batches = cut(sorted(range(len(prompts)), key=lambda i: len(prompts[i])), at_once)
    found: dict[int, list[int]] = {}
    for indices in (batches[i] for i in batches_of(module, len(batches))):
        for i, ids in zip(indices, _batch(module, [prompts[i] for i in indices], eos, max_new_tokens), strict=True):
            found[i] = ids
    merged = {key: value for share in gather_objects(found) for key, value in share.items()}
    return [merged[i] for i in range(len(prompts))]


@torch.no_grad()
def _batch(module: Any, prompts: list[Sequence[int]], eos: int, steps: int) -> list[list[int]]:
    from expunge.engine.room import roomy_cache

    device = module.get_input_embeddings().weight.device
    lengths = torch.tensor([len(prompt) for prompt in prompts])
    width = int(lengths.max())
    ids = torch.full((len(prompts), width), eos)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
    mask = (torch.arange(width)[None] >= (width - lengths)[:, None]).long().to(device)
    positions = (mask.cumsum(-1) - 1).clamp_min(0)
    ids, out, live = ids.to(device), [[] for _ in prompts], list(range(len(prompts)))  # type: ignore[var-annotated]
    cache = roomy_cache(module.config)
    longest = getattr(module.config, "max_position_embeddings", None) or width + steps
    for _ in range(steps):
        with fast_linear():
            logits = module(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            ).logits[:, -1]
        following = logits.argmax(-1)
        said = following != eos
        for row in said.nonzero()[:, 0].tolist():
            out[live[row]].append(int(following[row]))
        going = (said & (positions[:, -1] + 1 < longest)).nonzero()[:, 0]
        if not len(going):
            break
        if len(going) < len(live):
            live = [live[row] for row in going.tolist()]
            cache.batch_select_indices(going)
            mask, positions, following = mask[going], positions[going], following[going]
        mask = torch.cat([mask, mask.new_ones(len(live), 1)], dim=1)
        positions = positions[:, -1:] + 1
        ids = following[:, None]
    return out
