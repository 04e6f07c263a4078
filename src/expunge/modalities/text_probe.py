"""Find out by trying what an architecture honours, instead of keeping a list of architectures."""

from __future__ import annotations

from typing import Any

import torch

from expunge.contract.model import Batch
from expunge.modalities.text_packing import Layout, pack_trees, plain_rows, tree
from expunge.modalities.text_tokens import Encoded

TOLERANCE = 1e-3


def _ids(module: Any, n: int, seed: int) -> tuple[int, ...]:
    draw = torch.Generator().manual_seed(seed)
    return tuple(torch.randint(0, module.config.vocab_size, (n,), generator=draw).tolist())


@torch.no_grad()
def honours_split_head(module: Any) -> bool:
    """True where the output embedding of the last hidden state gives the model's own logits (no scaling, no cap)."""
    head = module.get_output_embeddings()
    if head is None:
        return False
    ids = torch.tensor([_ids(module, 7, 0)], device=module.get_input_embeddings().weight.device)
    whole = module(input_ids=ids, use_cache=False).logits
    parts = head(module.base_model(input_ids=ids, use_cache=False).last_hidden_state)
    return whole.shape == parts.shape and bool((whole - parts).abs().max() <= TOLERANCE * (1 + whole.abs().max()))


def _batch(layout: Layout, device: torch.device) -> Batch:
    inputs = {"ids": layout.ids, "positions": layout.positions, "mask": layout.mask, "at": layout.at}
    return Batch(
        {name: tensor.to(device) for name, tensor in inputs.items()}, layout.targets, layout.owner, layout.answers
    )


@torch.no_grad()
def honours_block_mask(model: Any) -> bool:
    """True where two questions packed in one row give the same logits as each answer in a row of its own."""
    prompt, other = _ids(model.module, 5, 1), _ids(model.module, 4, 2)
    answers = [Encoded((*prompt, *_ids(model.module, n, 10 + n)), 5) for n in (3, 5)]
    trees = [tree(answers), tree([Encoded((*other, *_ids(model.module, 4, 3)), 4)])]
    try:
        packed = model.logits(_batch(pack_trees(trees, model.tokens.eos), model.device))
    except (TypeError, ValueError, RuntimeError, IndexError):
        return False
    plain = model.logits(_batch(plain_rows(trees, model.tokens.eos), model.device))
    return bool((packed - plain).abs().max() <= TOLERANCE * (1 + plain.abs().max()))
