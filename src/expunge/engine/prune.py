"""Pruning masks: which weights stay; the others are set to zero before a method runs."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from expunge.contract.mask import Mask
from expunge.engine.gradients import trainable
from expunge.engine.select import Portion
from expunge.facts.errors import InputError


def prunable(module: nn.Module) -> dict[str, nn.Parameter]:
    """Return the weights of linear maps and convolutions by name: the parameters of two or more axes, embeddings apart.

    Biases, norms and embeddings are never pruned; a head that is tied to an embedding is not either.
    """
    embeddings = {id(part.weight) for part in module.modules() if isinstance(part, nn.Embedding)}
    found = {
        name: parameter
        for name, parameter in trainable(module).items()
        if parameter.ndim > 1 and name.endswith("weight") and id(parameter) not in embeddings
    }
    if not found:
        raise InputError("pruning needs weights of linear maps or convolutions, and the model has none")
    return found


def check_sparsity(sparsity: float) -> None:
    """Refuse a sparsity that leaves nothing to prune or nothing of the model."""
    if not 0.0 < sparsity < 1.0:
        raise ValueError(f"sparsity is a share between 0 and 1, both excluded, not {sparsity}")


def pruning_mask(module: nn.Module, scores: Mapping[str, Tensor], sparsity: float) -> Mask:
    """Return the mask that prunes the given share of the entries in `scores`, the lowest, all parameters ranked together.

    Parameters without a score stay, and may move.
    """
    kept = Portion(ratio=1.0 - sparsity).mask(scores).entries
    whole = {
        name: torch.ones_like(parameter, dtype=torch.bool)
        for name, parameter in trainable(module).items()
        if name not in scores
    }
    return Mask({**whole, **kept}, prunes=True)


def zeros_held(module: nn.Module, mask: Mask | None = None) -> Mask:
    """Return the mask, or that of all parameters that take gradients, without the prunable weights that are exactly zero."""
    entries = {name: torch.ones_like(parameter, dtype=torch.bool) for name, parameter in trainable(module).items()}
    if mask is not None:
        entries = {name: entry.to(entries[name].device) for name, entry in mask.entries.items() if name in entries}
    weights = prunable(module)
    return Mask(
        {name: entry & (weights[name].detach() != 0) if name in weights else entry for name, entry in entries.items()}
    )
