"""How far representations moved in angle: what must stay near, against what must not."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def turned(now: Tensor, before: Tensor) -> Tensor:
    """Return 1 - cos of each row's angle between the two, (rows,)."""
    return 1 - nn.functional.cosine_similarity(now, before)


def contrast(near: Tensor, far: Tensor, temperature: float) -> Tensor:
    """Return mean of `near` - log sum of exp(far / temperature): small where rows of `near` stayed and rows of `far` turned away.

    Source: LAF's released code (Shen et al. 2024), divided by its number of rows.
    """
    return near.mean() - torch.logsumexp(far / temperature, dim=0)
