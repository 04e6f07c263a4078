"""A convolution of many models as one batch of matrix products, for outputs of few places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

Pair = tuple[int, int]


class _Columns(torch.autograd.Function):
    """What a kernel reads at every place of the output (im2col); backwards, each entry's share goes back to where it was read."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Pair, stride: Pair, padding: Pair) -> Tensor:
        """Return (models, n * h * w, kernel height * kernel width * channels) of (n, height, width, models, channels)."""
        n, height, width, models, channels = x.shape
        (kh, kw), (sh, sw), (top, left) = kernel, stride, padding
        padded = x.new_zeros(n, height + 2 * top, width + 2 * left, models, channels)
        padded[:, top : top + height, left : left + width] = x
        h, w = places((height, width), kernel, stride, padding)
        row, down, right, model, _ = padded.stride()
        read = padded.as_strided(
            (models, n, h, w, kh, kw, channels), (model, row, down * sh, right * sw, down, right, 1)
        )
        ctx.sizes = (tuple(padded.shape), (height, width), (h, w), kernel, stride, padding)
        return read.reshape(models, n * h * w, -1)

    @staticmethod
    def backward(ctx: Any, *found: Tensor) -> tuple[Tensor, None, None, None]:
        """Return the gradient of x: overlapping reads add up."""
        shape, (height, width), (h, w), (kh, kw), (sh, sw), (top, left) = ctx.sizes
        n, _, _, models, channels = shape
        shares = found[0].view(models, n, h, w, kh, kw, channels).permute(4, 5, 1, 2, 3, 0, 6)
        padded = found[0].new_zeros(shape)
        for i in range(kh):
            for j in range(kw):
                padded[:, i : i + sh * h : sh, j : j + sw * w : sw] += shares[i, j]
        return padded[:, top : top + height, left : left + width], None, None, None


def product(images: Tensor, kernel: Tensor, shift: Tensor | None, models: int, stride: Pair, padding: Pair) -> Tensor:
    """Return (models, n, outputs, h, w) of images (n, models * channels, height, width) with channels last.

    `kernel` is (models * outputs, channels, kernel height, kernel width), `shift` (models * outputs).
    """
    n, (kh, kw) = len(images), kernel.shape[2:]
    x = images.permute(0, 2, 3, 1).unflatten(3, (models, -1))  # type: ignore[no-untyped-call]
    read = _Columns.apply(x, (kh, kw), stride, padding)  # type: ignore[no-untyped-call]
    flat = kernel.permute(0, 2, 3, 1).reshape(models, -1, read.shape[-1]).transpose(1, 2)
    found = torch.bmm(read, flat) if shift is None else torch.baddbmm(shift.view(models, 1, -1), read, flat)
    h, w = places(images.shape[2:], (kh, kw), stride, padding)
    return found.view(models, n, h, w, -1).permute(0, 1, 4, 2, 3)


def places(size: Sequence[int], kernel: Sequence[int], stride: Pair, padding: Pair) -> Pair:
    """Return height and width of the output of a convolution."""
    h, w = ((s + 2 * p - k) // step + 1 for s, k, step, p in zip(size, kernel, stride, padding, strict=True))
    return h, w
