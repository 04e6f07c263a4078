"""Divergences between two models' predictions at the same positions. All return (positions,), in nats."""

from __future__ import annotations

import torch
from torch import Tensor


def kl_divergence(frozen: Tensor, logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Return temperature^2 KL(frozen || model) a position: sum_v q_v (log q_v - log p_v), both softened by the temperature.

    The first argument is the one that the mean is taken under. The factor temperature^2 keeps gradients of one size.
    """
    wanted = torch.log_softmax(frozen.float() / temperature, dim=-1)
    own = torch.log_softmax(logits.float() / temperature, dim=-1)
    return temperature**2 * (wanted.exp() * (wanted - own)).sum(-1)
