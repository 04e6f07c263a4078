"""Names of a language model's parts."""

from __future__ import annotations

from typing import Any

from torch import nn

from expunge.contract.model import Sites
from expunge.modalities.module_parts import ATTENTION, FEED_FORWARD, equal_lists, parts_named


def find_sites(module: Any) -> Sites:
    """Return the blocks (the longest ModuleList of equal parts) and in each its attention and feed-forward module."""
    names = {id(part): name for name, part in module.named_modules()}
    lists = equal_lists(module)
    prefix, blocks = max(lists, key=lambda item: (len(item[1]), -len(item[0])), default=("", nn.ModuleList()))
    head = module.get_output_embeddings()
    return Sites(
        blocks=tuple(f"{prefix}.{i}" for i in range(len(blocks))),
        attention=parts_named(prefix, blocks, ATTENTION),
        feed_forward=parts_named(prefix, blocks, FEED_FORWARD),
        embedding=(names[id(module.get_input_embeddings())],),
        head=(names[id(head)],) if head is not None else (),
    )
