"""Losses a scored position, from logits (positions, classes) and targets (positions,). All return (positions,), in nats."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


def position_nll(logits: Tensor, targets: Tensor) -> Tensor:
    """Return -log p of each target."""
    return cross_entropy(logits.float(), targets, reduction="none")


def soft_cross_entropy(logits: Tensor, wanted: Tensor) -> Tensor:
    """Return -sum_v q_v log p_v with q the `wanted` probabilities and p those of `logits`."""
    return -(wanted * torch.log_softmax(logits.float(), dim=-1)).sum(-1)


def saturation_importance(nll: Tensor, saturation: float, importance: float) -> Tensor:
    """Return the weight p^saturation (1 - p)^importance of each position, p = exp(-nll); no gradient flows through it."""
    probability = torch.exp(-nll.detach())
    return probability**saturation * (1.0 - probability) ** importance
