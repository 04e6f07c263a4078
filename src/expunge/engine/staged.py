"""Models made stage by stage, each stage on further slices of the rows, so that the last ones can be switched off."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from expunge.facts.digest import tensor_digest

DOWN, UP = "::down", "::up"
"""What a low-rank change of a weight is kept under: its two factors."""


@dataclass
class Staged:
    """One model of a shard: the order of its slices, and what each stage that is still on added to the base weights.

    Stage j was trained on slices `order[:j + 1]` at most, with everything before it still. `digests[j]` was taken after stage j was
    trained, over all stages up to it: what stays on must have the digest from before the first touched slice was read.
    """

    order: tuple[int, ...]
    stages: list[dict[str, Tensor]]
    digests: list[str]

    def copy(self) -> Staged:
        """Return an independent copy."""
        stages = [{name: tensor.clone() for name, tensor in stage.items()} for stage in self.stages]
        return Staged(self.order, stages, list(self.digests))

    def switch_off(self, part: int) -> int:
        """Drop the stage that first read slice `part` and every later one; return how many."""
        first = self.order.index(part)
        gone = max(0, len(self.stages) - first)
        del self.stages[first:], self.digests[first:]
        return gone

    def knows(self) -> bool:
        """Return False where no stage is on that was trained on any row."""
        return any(self.stages)

    def is_what_was_trained(self) -> bool:
        """Return whether the stages that are on have the digest taken when the last of them was trained."""
        return not self.stages or digest_of(self.stages) == self.digests[-1]


def digest_of(stages: Sequence[Mapping[str, Tensor]]) -> str:
    """Return the sha256 over every stage's tensors, in order."""
    digest = hashlib.sha256()
    for number, stage in enumerate(stages):
        for name, tensor in sorted(stage.items()):
            plain = tensor.detach().cpu().contiguous()
            data = plain.view(torch.uint8).numpy().tobytes()
            digest.update(tensor_digest(f"{number}/{name}", str(plain.dtype), tuple(plain.shape), data))
    return digest.hexdigest()


def changed(weight: Tensor, down: Tensor, up: Tensor) -> Tensor:
    """Return a weight with the low-rank change up @ down, (outputs, rank) and (rank, the rest)."""
    return weight + (up @ down).view_as(weight)


def merged(base: Mapping[str, Tensor], stages: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return the base weights with every stage's change, in order; a tensor under a plain name takes the place of the base's."""
    state = dict(base)
    for stage in stages:
        for name, tensor in stage.items():
            if name.endswith(DOWN):
                weight = name.removesuffix(DOWN)
                state[weight] = changed(state[weight], tensor, stage[weight + UP])
            elif not name.endswith(UP):
                state[name] = tensor
    return state


def save_staged(copies: Sequence[Staged], directory: Path) -> list[Any]:
    """Write every stage's tensors, and return what `expunge.json` keeps of a shard."""
    from safetensors.torch import save_file

    for number, one in enumerate(copies):
        for j, stage in enumerate(one.stages):
            tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in stage.items()}
            save_file(tensors, directory / f"copy-{number}-stage-{j}.checkpoint")
    return [{"order": list(one.order), "digests": list(one.digests)} for one in copies]


def load_staged(kept: Sequence[Mapping[str, Any]], directory: Path, device: str) -> list[Staged]:
    """Return what `save_staged` wrote."""
    from safetensors.torch import load_file

    return [
        Staged(
            tuple(one["order"]),
            [
                load_file(directory / f"copy-{n}-stage-{j}.checkpoint", device=device)
                for j in range(len(one["digests"]))
            ],
            list(one["digests"]),
        )
        for n, one in enumerate(kept)
    ]
