"""How much signal is left at each timestep, and the way back from noise (DDIM)."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

STEPS = 1000
"""Timesteps of training."""


@cache
def signal(steps: int = STEPS) -> Tensor:
    """Return abar_t = prod_s (1 - beta_s), (steps,), of the squared-cosine schedule, beta capped at 0.999.

    Source: Nichol and Dhariwal 2021, https://arxiv.org/abs/2102.09672.
    """

    def cosine(share: float) -> float:
        return math.cos((share + 0.008) / 1.008 * math.pi / 2) ** 2

    betas = [min(1 - cosine((t + 1) / steps) / cosine(t / steps), 0.999) for t in range(steps)]
    return torch.cumprod(1 - torch.tensor(betas), 0)


def noised(x: Tensor, epsilon: Tensor, left: Tensor) -> Tensor:
    """Return sqrt(abar) x + sqrt(1 - abar) epsilon, with `left` = abar of each example, (n,)."""
    left = left.view(-1, *(1,) * (x.ndim - 1))
    return left.sqrt() * x + (1 - left).sqrt() * epsilon


def denoise(x: Tensor, predict: Callable[[Tensor, int], Tensor], steps: int) -> Tensor:
    """Return images from noise `x` in `steps` deterministic DDIM steps; `predict(x, t)` is the predicted noise.

    x_0 = (x - sqrt(1 - abar_t) eps) / sqrt(abar_t), then x = sqrt(abar_s) x_0 + sqrt(1 - abar_s) eps at the next timestep s. x_0 is never
    clipped: diffusers' default clips x_0 and keeps eps, which turns classifier-free guidance around on saturated pixels
    and looks like forgetting. Source: Song et al. 2021, https://arxiv.org/abs/2010.02502.
    """
    abar = signal().to(x.device)
    stride = STEPS // steps
    for t in range((steps - 1) * stride, -1, -stride):
        here = abar[t]
        after = abar[t - stride] if t >= stride else torch.ones_like(here)
        epsilon = predict(x, t)
        clean = (x - (1 - here).sqrt() * epsilon) / here.sqrt()
        x = after.sqrt() * clean + (1 - after).sqrt() * epsilon
    return x
