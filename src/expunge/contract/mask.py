"""Which entries of which parameters may move."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from expunge.contract.weights import whole


@dataclass(frozen=True)
class Mask:
    """Boolean tensors by parameter name; a parameter without an entry does not move at all.

    With `prunes`, entries that may not move are set to zero before the method runs, and are zero after it; a parameter without
    an entry stays as it is.
    """

    entries: Mapping[str, Tensor]
    prunes: bool = False

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
        return replace(self, entries={name: entry for name, entry in self.entries.items() if name in names})

    @torch.no_grad()
    def prune(self, module: nn.Module) -> int:
        """Set to zero the entries that a pruning mask takes away, in place, and return how many; any other mask takes none."""
        count = 0
        for name, parameter in module.named_parameters() if self.prunes else ():
            if name in self.entries:
                entry = self.entries[name].to(parameter.device)
                parameter.masked_fill_(~entry, 0.0)
                count += int((~entry).sum())
        return count


def moved_outside(
    before: Mapping[str, Tensor], module: nn.Module, scope: frozenset[str], mask: Mask | None
) -> list[str]:
    """Return the names of parameters with an entry that moved though scope or mask forbids it; what a mask prunes must be zero."""
    wrong = []
    for name, parameter in module.named_parameters():
        changed = before[name] != parameter.detach()
        if name not in scope or (mask is not None and name not in mask.entries):
            forbidden = changed
        elif mask is not None:
            amiss = parameter.detach() != 0 if mask.prunes else changed
            forbidden = amiss & ~mask.entries[name].to(changed.device)
        else:
            continue
        if bool(whole(forbidden.any())):
            wrong.append(name)
    return wrong
