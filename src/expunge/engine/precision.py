"""Compute in a lower precision, keep weights in their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel


@contextmanager
def computing_in(precision: str, device: torch.device) -> Iterator[None]:
    """Run the forward passes inside with matrix products in `precision`; weights and updates keep their own, `float32` changes nothing.

    On a CPU the attention is then the plain one: PyTorch's fused kernel takes longer for rows of bfloat16 than for rows of float32.
    """
    if precision == "float32":
        yield
        return
    plain = sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()
    with torch.autocast(device.type, getattr(torch, precision)), plain:
        yield
