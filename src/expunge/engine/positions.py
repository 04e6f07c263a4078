"""Sums and means over the scored positions of each example."""

from __future__ import annotations

import torch
from torch import Tensor


def segment_sum(values: Tensor, owner: Tensor, size: int) -> Tensor:
    """Return the sum of `values` (positions,) over each example's positions, (size,)."""
    return torch.zeros(size, dtype=values.dtype, device=values.device).index_add(0, owner, values)


def segment_mean(values: Tensor, owner: Tensor, size: int) -> Tensor:
    """Return the mean of `values` (positions,) over each example's positions, (size,)."""
    return segment_sum(values, owner, size) / torch.bincount(owner, minlength=size).clamp_min(1)


def places(owner: Tensor, size: int) -> Tensor:
    """Return each position's place within its example, counted from 0, (positions,)."""
    lengths = torch.bincount(owner, minlength=size)
    return torch.arange(len(owner), device=owner.device) - (lengths.cumsum(0) - lengths)[owner]
