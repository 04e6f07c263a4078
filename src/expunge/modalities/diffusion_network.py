"""A small text-conditional noise predictor: words reach the image through cross-attention, time through a bias."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from expunge.modalities.layers import conv, group_norm

TIME_FEATURES = 32


def time_features(steps: Tensor) -> Tensor:
    """Return sines and cosines of the timesteps at geometric frequencies from 1 to 1/10,000, (n, TIME_FEATURES)."""
    half = TIME_FEATURES // 2
    frequencies = torch.exp(-math.log(10_000) * torch.arange(half, device=steps.device) / half)
    angles = steps[:, None].float() * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


class CrossAttention(nn.Module):
    """Every place of the image asks the words. `to_k` and `to_v` read words alone: what closed-form concept edits rewrite."""

    def __init__(self, channels: int, context: int, heads: int) -> None:
        super().__init__()
        self.heads, self.norm = heads, group_norm(channels)
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(context, channels, bias=False)
        self.to_v = nn.Linear(context, channels, bias=False)
        self.to_out = nn.Linear(channels, channels)

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:-1], self.heads, -1).transpose(1, 2)

    def forward(self, x: Tensor, words: Tensor) -> Tensor:
        """Return what the words add to the image, (n, channels, H, W)."""
        q = self._split(self.to_q(self.norm(x).flatten(2).mT))
        k, v = self._split(self.to_k(words)), self._split(self.to_v(words))
        weights = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1)
        added: Tensor = self.to_out((weights @ v).transpose(1, 2).flatten(2))
        return added.mT.reshape(x.shape)


class Block(nn.Module):
    """A residual block with the time as a bias, and cross-attention behind it where `heads` is not 0."""

    def __init__(self, inputs: int, outputs: int, time: int, context: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.conv1, self.time = group_norm(inputs), conv(inputs, outputs), nn.Linear(time, outputs)
        self.norm2, self.conv2 = group_norm(outputs), conv(outputs, outputs)
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)
        self.cross_attention = CrossAttention(outputs, context, heads) if heads else None

    def forward(self, x: Tensor, time: Tensor, words: Tensor) -> Tensor:
        """Return (n, outputs, H, W)."""
        inner = self.conv1(nn.functional.silu(self.norm1(x))) + self.time(time)[:, :, None, None]
        x = self.shortcut(x) + self.conv2(nn.functional.silu(self.norm2(inner)))
        return x if self.cross_attention is None else x + self.cross_attention(x, words)


class Denoiser(nn.Module):
    """A two-level UNet: one block at full size, two with cross-attention at half size, one back at full size.

    `words` counts the vocabulary, the empty word included.
    """

    def __init__(
        self, shape: tuple[int, int, int], words: int, *, width: int = 16, context: int = 32, heads: int = 4
    ) -> None:
        super().__init__()
        channels, height, across = shape
        if height % 2 or across % 2 or (2 * width) % heads:
            raise ValueError(f"{height}x{across} must be even, and heads {heads} divide {2 * width}")
        time, double = 4 * width, 2 * width
        self.words = nn.Embedding(words, context)
        self.time = nn.Sequential(nn.Linear(TIME_FEATURES, time), nn.SiLU(), nn.Linear(time, time), nn.SiLU())
        self.stem = conv(channels, width)
        self.down, self.up = conv(width, double, 2), conv(double, width)
        self.blocks = nn.ModuleList(
            [
                Block(width, width, time, context, 0),
                Block(double, double, time, context, heads),
                Block(double, double, time, context, heads),
                Block(double, width, time, context, 0),
            ]
        )
        self.norm, self.head = group_norm(width), conv(width, channels)

    def forward(self, x: Tensor, steps: Tensor, ids: Tensor) -> Tensor:
        """Return the predicted noise of images (n, C, H, W) at timesteps (n,) under word ids (n, length)."""
        time, words = self.time(time_features(steps).to(x.dtype)), self.words(ids)
        whole = self.blocks[0](self.stem(x), time, words)
        half = self.blocks[2](self.blocks[1](self.down(whole), time, words), time, words)
        back = self.up(nn.functional.interpolate(half, scale_factor=2.0))
        found: Tensor = self.head(
            nn.functional.silu(self.norm(self.blocks[3](torch.cat([back, whole], 1), time, words)))
        )
        return found


NETWORKS: Mapping[str, Callable[..., nn.Module]] = {"denoiser": Denoiser}
