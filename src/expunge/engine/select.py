"""Turn one score an entry into a mask of the highest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from expunge.contract.mask import Mask


def highest(scores: Tensor, count: int) -> Tensor:
    """Return a mask of exactly `count` entries with the highest scores; entries that tie at the edge go in order."""
    flat = scores.flatten()
    if count <= 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    edge = flat.kthvalue(flat.numel() - count + 1).values
    chosen = flat > edge
    level = (flat == edge).nonzero()[:, 0]
    chosen[level[: count - int(chosen.sum())]] = True
    return chosen.view(scores.shape)


@dataclass(frozen=True, kw_only=True)
class Portion:
    """Which share of the entries a locator lets move: settings that all locators share."""

    ratio: float = 0.5
    """Share of entries that may move: those with the highest scores."""
    per_tensor: bool = False
    """Take the share of every parameter by itself instead of the model's entries ranked together."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.ratio <= 1.0:
            raise ValueError(f"ratio is a share between 0 and 1, not {self.ratio}")

    def mask(self, scores: Mapping[str, Tensor]) -> Mask:
        """Return the mask of round(ratio * entries) entries; exact also where scores tie (entries without any gradient)."""
        if self.per_tensor or not scores:
            return Mask({name: highest(value, round(self.ratio * value.numel())) for name, value in scores.items()})
        flat = torch.cat([value.flatten() for value in scores.values()])
        sizes = [value.numel() for value in scores.values()]
        chosen = torch.split(highest(flat, round(self.ratio * len(flat))), sizes)
        return Mask({name: part.view(value.shape) for part, (name, value) in zip(chosen, scores.items(), strict=True)})
