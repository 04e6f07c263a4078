"""Which entries of which parameters may move."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from expunge.contract.weights import whole


@dataclass(frozen=True)
class Mask:
    """Boolean tensors by parameter name; a parameter without an entry does not move at all."""

    entries: Mapping[str, Tensor]

    def __post_init__(self) -> None:
        for name, entry in self.entries.items():
            if entry.dtype is not torch.bool:
                raise ValueError(f"mask of {name!r} is {entry.dtype}, not bool")

    def density(self) -> float:
        """Return the share of entries that may move."""
        total = sum(entry.numel() for entry in self.entries.values())
        return sum(int(entry.sum()) for entry in self.entries.values()) / total if total else 0.0

    def within(self, names: frozenset[str]) -> Mask:
        """Return the mask limited to the parameters of a scope."""
        return Mask({name: entry for name, entry in self.entries.items() if name in names})


def moved_outside(
    before: Mapping[str, Tensor], module: nn.Module, scope: frozenset[str], mask: Mask | None
) -> list[str]:
    """Return the names of parameters with an entry that moved though scope or mask forbids it."""
    wrong = []
    for name, parameter in module.named_parameters():
        changed = before[name] != parameter.detach()
        if name not in scope or (mask is not None and name not in mask.entries):
            forbidden = changed
        elif mask is not None:
            forbidden = changed & ~mask.entries[name].to(changed.device)
        else:
            continue
        if bool(whole(forbidden.any())):
            wrong.append(name)
    return wrong
