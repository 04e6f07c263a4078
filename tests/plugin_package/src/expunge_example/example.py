"""Unlearning by uniform targets, as a third party would write it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.descend import Descent, Step, descend


@dataclass(frozen=True, kw_only=True)
class Example:
    """Push the model's answers on forget rows to the uniform distribution and keep its answers on retain rows.

    A model that gives every answer the same probability has none left to give away.
    L = weight * KL(uniform || p(forget)) - log p(retain), both means over positions.

    Source: after Golatkar et al. 2020. Reads forget and retain. Moves the parameters in scope. Cost: one forward for both splits a step.
    """

    about = About(
        needs=("forget", "retain", "logits"),
        modalities=("text", "vision", "tabular"),
        claim="The forget rows' answers become no likelier than any other.",
        paper="Eternal Sunshine of the Spotless Net: Selective Forgetting in Deep Networks",
        link="https://arxiv.org/abs/1911.04933",
        year=2020,
        cost="1 forward + 1 backward a step",
    )

    descent: Descent = Descent(lr=1e-2, epochs=5)
    """The optimiser's settings."""
    weight: float = 1.0
    """Weight of the forget term."""

    def run(self, model: Model, splits: Splits, job: Job) -> Model:
        """Return the model after the descent."""
        descend(model, job, self.descent, self.loss, forget=splits.forget, retain=splits.retain)
        return model

    def loss(self, step: Step) -> Tensor:
        """Return the loss of one step."""
        logs = torch.log_softmax(step.model.logits(step.joint).float(), dim=-1)
        forget = step.is_forget
        spread = -logs[forget].mean(dim=-1)
        known = -logs[~forget].gather(-1, step.joint.targets[~forget, None])[:, 0]
        return self.weight * step.position_mean(spread) + step.position_mean(known)
