"""Names of a network's parts, found by the shape of the module tree and not by a list of architectures."""

from __future__ import annotations

from torch import nn

ATTENTION = ("self_attn", "attn", "attention", "self_attention")
FEED_FORWARD = ("mlp", "feed_forward", "ffn", "block_sparse_moe")


def equal_lists(module: nn.Module) -> list[tuple[str, nn.ModuleList]]:
    """Return every ModuleList whose parts are of one class, with its name, outer before inner."""
    return [
        (name, part)
        for name, part in module.named_modules()
        if isinstance(part, nn.ModuleList) and len(part) and len({type(block) for block in part}) == 1
    ]


def parts_named(prefix: str, blocks: nn.ModuleList, known: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of each block's parts that bear one of the known names."""
    return tuple(f"{prefix}.{i}.{part}" for i, block in enumerate(blocks) for part in known if hasattr(block, part))
