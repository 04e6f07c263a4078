"""Convolutions and group norms of many models under `vmap`: the models' channels side by side, channels last in memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from expunge.engine.columns import places, product

Sizes = int | str | Sequence[int]
FEW = 4
"""Places of an output (height * width) up to which a product of matrices stands in for the library's grouped convolution: it is faster
at 2x2, forwards and backwards, and not at 4x4 (bench/shadows.py)."""


class Folding(TorchFunctionMode):
    """Gives `conv2d` and `group_norm` of stacked parameters rules of their own, for the processor.

    Those that `vmap` has copy images before a convolution and after it, and take a norm's scale and shift as steps apart. Here one
    grouped convolution and one grouped norm read (n, models * channels, H, W) with channels last: no copy between them, and the
    format in which grouped convolutions of few channels are fast (bench/shadows.py).
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call `func`, or what stands in its place."""
        return RULES.get(func, func)(*args, **(kwargs or {}))


class _Convolution(torch.autograd.Function):
    """The rule of `conv2d` for stacked models; there is none for one. Autograd follows what the rule does."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Nothing is kept."""

    @staticmethod
    def vmap(
        info: Any, dims: tuple[int | None, ...], x: Tensor, weight: Tensor, bias: Tensor | None, *settings: Any
    ) -> tuple[Tensor, int]:
        """Return (n, models, outputs, H, W), and where models stand in it."""
        models, (stride, padding, dilation, groups) = info.batch_size, settings
        images = _folded(x, dims[0], models)
        kernel, shift = (_stacked(one, dim, models) for one, dim in zip((weight, bias), dims[1:], strict=False))
        assert kernel is not None
        if groups == 1 and _pair(dilation) == (1, 1) and not isinstance(padding, str):
            how = _pair(stride), _pair(padding)
            size = places(images.shape[2:], kernel.shape[2:], *how)
            # a kernel that the images cannot hold is the library's to refuse
            if min(size) > 0 and math.prod(size) <= FEW:
                return product(images, kernel, shift, models, *how), 0
        found = functional.conv2d(images, kernel, shift, stride, padding, dilation, groups * models)
        return found.unflatten(1, (models, -1)), 1  # type: ignore[no-untyped-call]


class _Norm(torch.autograd.Function):
    """The rule of `group_norm` for stacked models."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Nothing is kept."""

    @staticmethod
    def vmap(
        info: Any, dims: tuple[int | None, ...], x: Tensor, weight: Tensor | None, bias: Tensor | None, groups: int,
        eps: float,
    ) -> tuple[Tensor, int]:  # fmt: skip
        """Return (n, models, channels, ...), and where models stand in it."""
        models = info.batch_size
        scale, shift = (_stacked(one, dim, models) for one, dim in zip((weight, bias), dims[1:], strict=False))
        found = functional.group_norm(_folded(x, dims[0], models), groups * models, scale, shift, eps)
        return found.unflatten(1, (models, -1)), 1  # type: ignore[no-untyped-call]


def _folded(x: Tensor, dim: int | None, models: int) -> Tensor:
    """Return (n, models * channels, ...) of (n, channels, ...) that has models at `dim`, or is the same for all."""
    apart = x.unsqueeze(1).expand(-1, models, *x.shape[1:]) if dim is None else x.movedim(dim, 1)
    if apart.ndim != 5:
        return apart.flatten(1, 2)
    # at most one copy: flattening in this order makes one that has channels last already
    side_by_side = apart.permute(0, 3, 4, 1, 2).flatten(3).permute(0, 3, 1, 2)
    return side_by_side.contiguous(memory_format=torch.channels_last)


def _stacked(parameter: Tensor | None, dim: int | None, models: int) -> Tensor | None:
    if parameter is None:
        return None
    apart = parameter.expand(models, *parameter.shape) if dim is None else parameter.movedim(dim, 0)
    return apart.flatten(0, 1)


def _pair(size: Any) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else tuple(size)


def conv2d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Sizes = 1, padding: Sizes = 0, dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:  # fmt: skip
    """Return `torch.nn.functional.conv2d`; one image without an axis for rows is left to it."""
    if input.ndim == 3:
        return functional.conv2d(input, weight, bias, stride, padding, dilation, groups)  # type: ignore[arg-type]
    found: Tensor = _Convolution.apply(input, weight, bias, stride, padding, dilation, groups)  # type: ignore[no-untyped-call]
    return found


def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Return `torch.nn.functional.group_norm`."""
    found: Tensor = _Norm.apply(input, weight, bias, num_groups, eps)  # type: ignore[no-untyped-call]
    return found


RULES: Mapping[Any, Callable[..., Any]] = {functional.conv2d: conv2d, functional.group_norm: group_norm}
