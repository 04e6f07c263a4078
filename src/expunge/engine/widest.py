"""The largest output of any layer: what a batch holds at once, and what a processor's cache must."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


@torch.no_grad()
def widest_output(module: nn.Module, forward: Callable[[], object]) -> int:
    """Return the entries of the largest tensor that any part of `module` gives while `forward` runs it."""
    sizes = [0]
    hooks = [
        part.register_forward_hook(lambda _, __, out: sizes.append(out.numel() if isinstance(out, Tensor) else 0))
        for part in module.modules()
    ]
    try:
        forward()
    finally:
        for hook in hooks:
            hook.remove()
    return max(sizes)
