"""Digests and snapshots of a module's weights, and checks on them."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor, nn

from expunge.facts.digest import tensor_digest


def whole(tensor: Tensor) -> Tensor:
    """Return a tensor with all its entries: one that is spread over processes (FSDP) is gathered, by all of them together."""
    gather = getattr(tensor, "full_tensor", None)
    return tensor if gather is None else gather()


def is_sharded(module: nn.Module) -> bool:
    """True where parameters are spread over processes (FSDP), so that every forward pass is one that all of them make."""
    return any(hasattr(parameter, "full_tensor") for parameter in module.parameters())


def weights_digest(module: nn.Module) -> str:
    """Return the sha256 over (name, dtype, shape, bytes) of every entry of the state, sorted by name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        plain = whole(tensor.detach()).cpu().contiguous()
        data = (
            plain.view(torch.uint8).numpy().tobytes()
            if plain.ndim
            else plain.reshape(1).view(torch.uint8).numpy().tobytes()
        )
        digest.update(tensor_digest(name, str(plain.dtype), tuple(plain.shape), data))
    return digest.hexdigest()


def snapshot(module: nn.Module) -> dict[str, Tensor]:
    """Return a copy of every parameter by name, on its device."""
    return {name: parameter.detach().clone() for name, parameter in module.named_parameters()}


def not_finite(module: nn.Module) -> list[str]:
    """Return names of parameters that hold NaN or infinity."""
    return [name for name, parameter in module.named_parameters() if not bool(whole(torch.isfinite(parameter).all()))]


def moved_entries(before: dict[str, Tensor], module: nn.Module) -> int:
    """Return how many parameter entries differ from the snapshot."""
    return sum(int(whole((before[name] != parameter.detach()).sum())) for name, parameter in module.named_parameters())
