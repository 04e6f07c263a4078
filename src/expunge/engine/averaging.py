"""Average what networks say where it is no probability: a predicted number, the noise of an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, Self, runtime_checkable

import torch
from torch import Tensor, nn

from expunge.contract.model import Model
from expunge.facts.errors import InputError


@runtime_checkable
class Around(Protocol):
    """An adapter whose network's output is its prediction, in the units of the loss, so that outputs can be averaged."""

    def around(self, module: nn.Module) -> Self:
        """Return this adapter around another network of the same input and output."""


class MeanNetwork(nn.Module):
    """Networks of one input, read as one: the mean of their outputs, in float32 whatever the weights are."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, *given: Tensor) -> Tensor:
        """Return the mean of the networks' outputs."""
        return torch.stack([network(*given).float() for network in self.networks]).mean(0)


def check_can_be_averaged(model: Model) -> None:
    """Refuse an adapter that has neither probabilities nor a network whose output is its prediction."""
    if not (model.capabilities.logits or isinstance(model, Around)):
        raise InputError(
            f"an ensemble averages probabilities, or what its members' networks predict, and this {model.modality} model offers neither",
            causes=("its adapter has no logits, and no around(module) that puts another network in place of its own",),
            do="use retrain",
        )


def mean_of(members: Sequence[Model]) -> Model:
    """Return an adapter around the mean of the members' networks, which shares their weights; `members` are of one kind without logits."""
    first = members[0]
    assert isinstance(first, Around)
    found: Model = first.around(MeanNetwork([member.module for member in members]))
    return found
