"""Layers that the networks share, and the network that images and tables share."""

from __future__ import annotations

import math

from torch import Tensor, nn

GROUPS = 8
CHANNELS = 4


def group_norm(channels: int) -> nn.GroupNorm:
    """Return a GroupNorm of at most GROUPS groups with at least CHANNELS channels each, where the count divides.

    A group of one channel would take away whatever is added to a whole channel: a bias, or the timestep.
    """
    return nn.GroupNorm(math.gcd(GROUPS, max(1, channels // CHANNELS), channels), channels)


def conv(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """Return a 3x3 convolution that keeps height and width (divides them by the stride, rounding up)."""
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)


class Layer(nn.Module):
    """A linear map and a rectifier."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, outputs)."""
        found: Tensor = self.linear(x).relu()
        return found


class MLP(nn.Module):
    """A stem and `depth` further hidden layers of one width, then a linear head; an image is read as one vector of its pixels."""

    def __init__(self, shape: tuple[int, ...], outputs: int, *, width: int = 128, depth: int = 1) -> None:
        super().__init__()
        self.stem = Layer(math.prod(shape), width)
        self.blocks = nn.ModuleList(Layer(width, width) for _ in range(depth))
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, outputs)."""
        x = self.stem(x.flatten(1))
        for block in self.blocks:
            x = block(x)
        found: Tensor = self.head(x)
        return found
