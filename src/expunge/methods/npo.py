"""Negative preference optimisation."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import softplus

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.descend import Descent, Step, descend
from expunge.engine.frozen import FrozenLosses


def npo_loss(total: Tensor, frozen: Tensor, beta: float) -> Tensor:
    """Return (2/beta) log(1 + (p / p_frozen)^beta) of each example, from summed losses -log p, (batch,)."""
    return 2.0 / beta * softplus(beta * (frozen - total))


@dataclass(frozen=True, kw_only=True)
class NPO:
    """Push the forget answers below their probability under the frozen target, the less the further they have fallen.

    The gradient is that of ascent times a weight 2 p^beta / (p^beta + p_frozen^beta) that dies out as p falls: this is why it does
    not collapse as ascent does. Loss: forget_weight * mean_f (2/beta) log(1 + (p/p_frozen)^beta) + retain_weight * NLL_retain, with p
    the product over answer tokens and NLL_retain the mean over answer tokens.

    Source: Zhang et al. 2024. Differs: see `differs`.
    Reads forget and retain. Moves every parameter in scope. Cost: one joint forward and backward a step, and one pass
    over forget before the first.
    """

    about = About(
        needs=("forget", "retain", "frozen"),
        modalities=("text", "vision", "tabular", "diffusion"),
        claim="Reaches higher forget quality than gradient ascent at kept utility, where ascent collapses utility.",
        paper="Negative Preference Optimization: From Catastrophic Collapse to Effective Unlearning",
        link="https://arxiv.org/abs/2404.05868",
        year=2024,
        paper_id="P008",
        differs=(
            "The frozen losses are computed once a row instead of by a second model at each step; the numbers are the same.",
            "Forget and retain rows run in one forward pass.",
        ),
        cost="1 forward + 1 backward over forget and retain rows a step; 1 forward over forget before; no second model",
        search={"lr": ("log", 2e-4, 1e-2), "beta": ("log", 0.05, 1.0), "retain_weight": ("log", 0.5, 10.0)},
    )

    beta: float = 0.2
    """Inverse temperature: near 0 the loss is gradient ascent, large values stop earlier."""
    forget_weight: float = 1.0
    """Weight of the forget term."""
    retain_weight: float = 5.0
    """Weight of the retain term."""
    descent: Descent = Descent(lr=2e-3, epochs=10)
    """Optimiser settings."""

    def run(self, model: Model, splits: Splits, job: Job) -> Model:
        """Return the model after descending the loss."""
        forget, retain = splits.forget, splits.retain
        frozen = FrozenLosses.of(model, forget)

        def loss(step: Step) -> Tensor:
            total_forget, total_retain = step.total_losses()
            push = step.forget_mean(npo_loss(total_forget, frozen.forget(step), self.beta))
            keep = step.position_mean(total_retain, step.lengths()[1].sum())
            return self.forget_weight * push + self.retain_weight * keep

        descend(model, job, self.descent, loss, forget=forget, retain=retain)
        return model
