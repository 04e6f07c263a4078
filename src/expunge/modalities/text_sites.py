"""Names of a language model's parts, found by shape of the module tree and not by a list of architectures."""

from __future__ import annotations

from typing import Any

from torch import nn

from expunge.contract.model import Sites

ATTENTION = ("self_attn", "attn", "attention", "self_attention")
FEED_FORWARD = ("mlp", "feed_forward", "ffn", "block_sparse_moe")


def find_sites(module: Any) -> Sites:
    """Return the blocks (the longest ModuleList of equal parts) and in each its attention and feed-forward module."""
    names = {id(part): name for name, part in module.named_modules()}
    lists = [
        (name, part)
        for name, part in module.named_modules()
        if isinstance(part, nn.ModuleList) and len(part) and len({type(block) for block in part}) == 1
    ]
    prefix, blocks = max(lists, key=lambda item: (len(item[1]), -len(item[0])), default=("", nn.ModuleList()))
    named = tuple(f"{prefix}.{i}" for i in range(len(blocks)))

    def parts(known: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(
            f"{name}.{part}"
            for name, block in zip(named, blocks, strict=True)
            for part in known
            if hasattr(block, part)
        )

    head = module.get_output_embeddings()
    return Sites(
        blocks=named,
        attention=parts(ATTENTION),
        feed_forward=parts(FEED_FORWARD),
        embedding=(names[id(module.get_input_embeddings())],),
        head=(names[id(head)],) if head is not None else (),
    )
