"""Gradient difference: ascend on forget rows, descend on retain rows."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.descend import Descent, Step, descend


@dataclass(frozen=True, kw_only=True)
class GradDiff:
    """Raise the loss of the forget rows while lowering that of retain rows.

    The retain term holds the model where ascent alone lets go; the forget term still has no bound. Loss:
    -forget_weight * L(forget) + retain_weight * L(retain), with L the mean over rows of each row's mean -log p over its scored positions.

    Source: Liu et al. 2022, as in the TOFU paper. Differs: see `differs`. Reads forget and retain. Moves every parameter in scope.
    Cost: one joint forward and backward a step.
    """

    about = About(
        needs=("forget", "retain"),
        modalities=("text", "vision", "tabular", "diffusion"),
        claim="Forgets as ascent does at a higher utility.",
        paper="Continual Learning and Private Unlearning",
        link="https://arxiv.org/abs/2203.12817",
        year=2022,
        differs=(
            "Every row weighs the same, as in the TOFU paper; published code takes the mean over all tokens of a batch, so that long "
            "answers weigh more.",
            "Forget and retain rows run in one forward pass.",
        ),
        cost="1 forward + 1 backward over forget and retain rows a step",
        search={"lr": ("log", 2e-4, 1e-2), "retain_weight": ("log", 0.5, 10.0)},
    )

    forget_weight: float = 1.0
    """Weight of the forget term."""
    retain_weight: float = 5.0
    """Weight of the retain term."""
    descent: Descent = Descent(lr=2e-3, epochs=10)
    """Optimiser settings."""

    def run(self, model: Model, splits: Splits, job: Job) -> Model:
        """Return the model after descending the loss."""

        def loss(step: Step) -> Tensor:
            (total_forget, total_retain), (n_forget, n_retain) = step.total_losses(), step.lengths()
            push = -step.forget_mean(total_forget / n_forget)
            keep = step.retain_mean(total_retain / n_retain)
            return self.forget_weight * push + self.retain_weight * keep

        descend(model, job, self.descent, loss, forget=splits.forget, retain=splits.retain)
        return model
