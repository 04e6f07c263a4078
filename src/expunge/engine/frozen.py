"""The frozen copy of target that NPO, DPO and KL compare with: kept as numbers where numbers are enough."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from expunge.contract.model import Model
from expunge.contract.weights import is_sharded
from expunge.engine.descend import Step
from expunge.engine.order import cut
from expunge.facts.errors import InputError
from expunge.facts.rows import Rows


@torch.no_grad()
def total_losses(model: Model, rows: Rows, *, batch_size: int = 32) -> Tensor:
    """Return total_loss of every row in order, (rows,), for a model whose loss takes no noise."""
    parts = []
    for indices in cut(range(len(rows)), batch_size):
        parts.append(model.total_loss(model.pack([rows[i] for i in indices])))
    return torch.cat(parts)


def frozen_copy(model: Model) -> Model:
    """Return a copy whose parameters take no gradient, in eval mode."""
    if is_sharded(model.module):
        raise InputError(
            "a frozen copy is needed, and a model spread over processes cannot be copied", do="use another method"
        )
    copy = model.copy()
    copy.module.train(False)
    for parameter in copy.module.parameters():
        parameter.requires_grad_(False)
    return copy


@dataclass(frozen=True)
class FrozenLosses:
    """Losses of the forget rows under the model as it was when this was made.

    Where the loss takes no noise they are one number a row, computed once: no second model stays in memory. Where it does (diffusion), a
    frozen copy sees each step's own noise.
    """

    kept: Tensor | None
    copy: Model | None

    @classmethod
    def of(cls, model: Model, forget: Rows) -> FrozenLosses:
        """Compute or copy, before the first step moves the weights."""
        batch = model.pack(forget[:1])
        if model.noise(batch, torch.Generator()) is None:
            return cls(total_losses(model, forget), None)
        return cls(None, frozen_copy(model))

    @torch.no_grad()
    def forget(self, step: Step) -> Tensor:
        """Return the frozen total_loss of a step's forget rows, (forget rows,)."""
        if self.kept is not None:
            return self.kept[step.forget_index.to(self.kept.device)]
        assert self.copy is not None
        return step.split(self.copy.total_loss(step.joint, step.noise))[0]
