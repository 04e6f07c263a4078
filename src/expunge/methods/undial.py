"""Self-distillation towards the target's own predictions with the memorised token pushed down."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.descend import Descent, Step, descend
from expunge.engine.frozen import frozen_copy
from expunge.maths.losses import position_nll, soft_cross_entropy


def undial_loss(logits: Tensor, frozen: Tensor, targets: Tensor, strength: float) -> Tensor:
    """Return the cross-entropy with softmax(frozen - strength at the target) as the wanted distribution, (positions,)."""
    lowered = frozen.float() - strength * one_hot(targets, frozen.shape[-1])
    return soft_cross_entropy(logits, torch.softmax(lowered, dim=-1))


@dataclass(frozen=True, kw_only=True)
class UNDIAL:
    """Distil the model into its own frozen predictions with the forget token's logit lowered by `strength`.

    The wanted distribution is fixed, so the loss has a minimum where ascent has none: it cannot run away. Loss: forget_weight *
    mean over forget positions of -sum_v q_v log p_v, q = softmax(z_frozen - strength onehot(y)), + retain_weight * mean over retain
    positions of -log p.

    Source: Dong et al. 2025. Differs: see `differs`. Reads forget and retain. Moves every parameter in scope. Cost: one joint forward
    and backward, and one forward of a frozen copy over forget rows, a step.
    """

    about = About(
        needs=("forget", "retain", "frozen", "logits"),
        modalities=("text", "vision", "tabular"),
        claim="Forgetting converges and utility stays, over settings under which ascent and NPO collapse.",
        paper="UNDIAL: Self-Distillation with Adjusted Logits for Robust Unlearning in Large Language Models",
        link="https://arxiv.org/abs/2402.10052",
        year=2025,
        differs=(
            "The mean is over scored forget positions; the standard framework averages over prompt and padding too.",
            "A retain term is offered (weight 0 is the paper's).",
        ),
        cost="1 forward + 1 backward over forget and retain rows, 1 frozen forward over forget rows a step; a second model",
        search={"lr": ("log", 2e-4, 1e-2), "strength": ("log", 3.0, 30.0), "retain_weight": ("log", 0.3, 5.0)},
    )

    strength: float = 10.0
    """How far the target's logit is lowered."""
    forget_weight: float = 1.0
    """Weight of the distillation term."""
    retain_weight: float = 3.0
    """Weight of the retain term."""
    descent: Descent = Descent(lr=3e-3, epochs=10)
    """Optimiser settings."""

    def run(self, model: Model, splits: Splits, job: Job) -> Model:
        """Return the model after descending the loss."""
        frozen = frozen_copy(model)

        def loss(step: Step) -> Tensor:
            logits, targets, at = model.logits(step.joint), step.joint.targets, step.is_forget
            with torch.no_grad():
                before = frozen.logits(step.forget_batch)
            push = step.position_mean(undial_loss(logits[at], before, targets[at], self.strength))
            keep = step.position_mean(position_nll(logits[~at], targets[~at]))
            return self.forget_weight * push + self.retain_weight * keep

        descend(model, job, self.descent, loss, forget=splits.forget, retain=splits.retain)
        return model
