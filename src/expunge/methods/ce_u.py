"""Cross-entropy unlearning."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.descend import Descent, Step, descend
from expunge.engine.positions import places
from expunge.maths.losses import soft_cross_entropy


def ce_u_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy with the model's own prediction, the target ruled out, as the wanted one, (positions,)."""
    others = logits.detach().float().scatter(-1, targets[:, None], float("-inf"))
    return soft_cross_entropy(logits, torch.softmax(others, dim=-1))


@dataclass(frozen=True, kw_only=True)
class CEU:
    """Move each forget token's probability to the other tokens, in the proportions the model gives them.

    The gradient at the target's logit is its probability p: it fades as the token is forgotten, where that of ascent stays at 1 - p.
    Loss: mean over forget positions of -sum_v q_v log p_v, with q = softmax(z, z_target = -infinity), no gradient through q.
    The first tokens of an answer are left out: they are how answers begin, not what they say.

    Source: Yang 2025. Differs: see `differs`. Reads forget. Moves every parameter in scope. Cost: one forward and backward a step.
    """

    about = About(
        needs=("forget", "logits"),
        modalities=("text", "vision", "tabular"),
        claim="Without any retain rows it forgets at a utility that ascent cannot keep.",
        paper="CE-U: Cross Entropy Unlearning",
        link="https://arxiv.org/abs/2503.01224",
        year=2025,
        differs=(
            "An answer always keeps its last position, so that one-position examples (a classifier's) count.",
            "On a class of digits it keeps 90% of the retain rows where ascent by the same steps keeps 34; stopped where each has just "
            "forgotten, it is not shown to keep more (.6 points [-.9, 2.2], five targets).",
        ),
        cost="1 forward + 1 backward over forget rows a step",
        search={"lr": ("log", 1e-4, 1e-2), "skip": ("choice", 0, 1)},
        inert_when={"skip": "every example has one scored position"},
    )

    skip: int = 1
    """Answer tokens left out at the start of each answer."""
    descent: Descent = Descent(lr=7e-4, epochs=5)
    """Optimiser settings."""

    def run(self, model: Model, splits: Splits, job: Job) -> Model:
        """Return the model after descending the loss."""

        def loss(step: Step) -> Tensor:
            batch = step.joint
            first = (batch.lengths() - 1).clamp_max(self.skip)
            counted = places(batch.owner, batch.size) >= first[batch.owner]
            return step.position_mean(ce_u_loss(model.logits(batch)[counted], batch.targets[counted]))

        descend(model, job, self.descent, loss, forget=splits.forget)
        return model
