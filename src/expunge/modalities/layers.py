"""Two layers that the image networks share."""

from __future__ import annotations

import math

from torch import nn

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
