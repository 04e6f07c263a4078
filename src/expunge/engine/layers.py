"""Known layers: each parameter's per-example gradient from the layer's input and the gradient of its output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from expunge.engine.ghost import Convolved, Outer, Use, Written


@dataclass(frozen=True)
class Grouping:
    """Which example each entry along a first dimension belongs to: its own number, or by `owner` where it is a scored position."""

    size: int
    owner: Tensor | None

    def places(self, values: Tensor) -> Tensor:
        """Return (examples, places, width); an example's scored positions are padded with zeros to the most."""
        flat = values.unsqueeze(1) if values.ndim == 2 else values.flatten(1, -2)
        if self.owner is None:
            return flat
        counts = torch.bincount(self.owner, minlength=self.size)
        slot = torch.arange(len(self.owner), device=values.device) - (counts.cumsum(0) - counts)[self.owner]
        padded = values.new_zeros(self.size, int(counts.max()), *flat.shape[1:])
        padded[self.owner, slot] = flat
        return padded.flatten(1, 2)

    def total(self, values: Tensor) -> Tensor:
        """Return (examples, ...): entries of one example summed."""
        if self.owner is None:
            return values
        return values.new_zeros(self.size, *values.shape[1:]).index_add_(0, self.owner, values)


Reader = Callable[[nn.Module, Tensor, Tensor, Grouping], dict[str, Use]]
"""(module, input, gradient of the output, grouping) -> each of the module's own parameters' use."""


def _linear(module: nn.Module, x: Tensor, gradient: Tensor, grouping: Grouping) -> dict[str, Use]:
    right = grouping.places(gradient)
    return {"weight": Outer(right, grouping.places(x)), "bias": Written(right.sum(1))}


def _transposed_linear(module: nn.Module, x: Tensor, gradient: Tensor, grouping: Grouping) -> dict[str, Use]:
    right = grouping.places(gradient)
    return {"weight": Outer(grouping.places(x), right), "bias": Written(right.sum(1))}


def _embedding(module: nn.Module, ids: Tensor, gradient: Tensor, grouping: Grouping) -> dict[str, Use]:
    assert isinstance(module, nn.Embedding)
    if module.padding_idx is not None:
        gradient = gradient.masked_fill(ids.eq(module.padding_idx)[..., None], 0.0)
    return {"weight": Outer(grouping.places(ids[..., None])[..., 0], grouping.places(gradient))}


def _convolution(module: nn.Module, x: Tensor, gradient: Tensor, grouping: Grouping) -> dict[str, Use]:
    assert isinstance(module, nn.Conv2d)
    return {"weight": Convolved(module, x, gradient), "bias": Written(gradient.flatten(2).sum(2))}


def _over_width(normalised: Tensor, gradient: Tensor, shape: tuple[int, ...], grouping: Grouping) -> dict[str, Use]:
    """Weight and bias of the trailing dimensions `shape`."""
    between = tuple(range(1, gradient.ndim - len(shape)))

    def one(values: Tensor) -> Written:
        return Written(grouping.total(values.sum(between) if between else values))

    return {"weight": one(gradient * normalised), "bias": one(gradient)}


def _layer_norm(module: nn.Module, x: Tensor, gradient: Tensor, grouping: Grouping) -> dict[str, Use]:
    assert isinstance(module, nn.LayerNorm)
    normalised = functional.layer_norm(x, module.normalized_shape, None, None, module.eps)
    return _over_width(normalised, gradient, tuple(module.normalized_shape), grouping)


def _rms_norm(module: nn.Module, x: Tensor, gradient: Tensor, grouping: Grouping) -> dict[str, Use]:
    assert isinstance(module, nn.RMSNorm)
    normalised = functional.rms_norm(x, module.normalized_shape, None, module.eps)
    return _over_width(normalised, gradient, tuple(module.normalized_shape), grouping)


def _over_channels(normalised: Tensor, gradient: Tensor, grouping: Grouping) -> dict[str, Use]:
    """Weight and bias of dimension 1."""

    def one(values: Tensor) -> Written:
        return Written(grouping.total(values.flatten(2).sum(2) if values.ndim > 2 else values))

    return {"weight": one(gradient * normalised), "bias": one(gradient)}


def _group_norm(module: nn.Module, x: Tensor, gradient: Tensor, grouping: Grouping) -> dict[str, Use]:
    assert isinstance(module, nn.GroupNorm)
    return _over_channels(functional.group_norm(x, module.num_groups, eps=module.eps), gradient, grouping)


def _batch_norm(module: nn.Module, x: Tensor, gradient: Tensor, grouping: Grouping) -> dict[str, Use]:
    assert isinstance(module, _BatchNorm)
    normalised = functional.batch_norm(x, module.running_mean, module.running_var, eps=module.eps)
    return _over_channels(normalised, gradient, grouping)


READERS: tuple[tuple[type[nn.Module], Reader], ...] = (
    (nn.Linear, _linear),
    (nn.Embedding, _embedding),
    (nn.Conv2d, _convolution),
    (nn.LayerNorm, _layer_norm),
    (nn.RMSNorm, _rms_norm),
    (nn.GroupNorm, _group_norm),
    (_BatchNorm, _batch_norm),
)


def _refusal(module: nn.Module) -> str:
    """Return why a known layer cannot be read with these settings, or an empty string."""
    if isinstance(module, nn.Conv2d):
        if module.groups != 1:
            return "has groups"
        if module.padding_mode != "zeros" or isinstance(module.padding, str):
            return "pads with other than a number of zeros"
    if isinstance(module, nn.Embedding) and (module.max_norm is not None or module.scale_grad_by_freq or module.sparse):
        return "renormalises its rows or scales its gradient"
    if isinstance(module, _BatchNorm) and module.running_mean is None:
        return "mixes the examples of a batch"
    return ""


def reader_of(module: nn.Module) -> tuple[Reader | None, str]:
    """Return how to read a module, or None with the reason; a subclass that overrides `forward` is not the known layer."""
    if type(module).__name__ == "Conv1D" and hasattr(module, "nf"):
        return _transposed_linear, ""
    for known, reader in READERS:
        if isinstance(module, known):
            if type(module).forward is not known.forward:
                return None, f"{type(module).__name__} overrides the forward of {known.__name__}"
            reason = _refusal(module)
            return (None, f"a {type(module).__name__} {reason}") if reason else (reader, "")
    return None, ""
