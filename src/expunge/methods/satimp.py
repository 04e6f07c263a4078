"""Gradient ascent reweighted by saturation and importance."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.descend import Descent, Step, descend
from expunge.maths.losses import position_nll, saturation_importance


@dataclass(frozen=True, kw_only=True)
class SatImp:
    """Ascend on forget tokens that are neither forgotten yet (saturation) nor trivial to predict (importance).

    Loss: forget_weight * mean over forget positions of p^saturation (1 - p)^importance log p, with no gradient through the weight,
    + retain_weight * mean over retain positions of -log p. A token that the model predicts with certainty has no weight at all: a
    target that fits its training set perfectly gives this method little to start from.

    Source: Yang et al. 2025. Differs: see `differs`. Reads forget and retain. Moves every parameter in scope. Cost: one joint forward
    and backward a step.
    """

    about = About(
        needs=("forget", "retain", "logits"),
        modalities=("text", "vision", "tabular"),
        claim="Forgets better at equal utility than weighting by saturation or by importance alone.",
        paper="Exploring Criteria of Loss Reweighting to Enhance LLM Unlearning",
        link="https://arxiv.org/abs/2505.11953",
        year=2025,
        differs=(
            "No frozen model is kept; the standard framework copies one that it never uses.",
            "On a class of digits, at equal forgetting, 1.2 points of the retain rows [.5, 1.9] more than by importance alone, .15 "
            "[.02, .29] than by saturation alone (five targets).",
        ),
        cost="1 forward + 1 backward over forget and retain rows a step",
        search={"lr": ("log", 2e-4, 1e-2), "saturation": ("linear", 1.0, 6.0), "importance": ("log", 0.1, 1.0)},
    )

    saturation: float = 5.0
    """Power of p (the paper's beta1): high leaves tokens alone early."""
    importance: float = 1.0
    """Power of 1 - p (the paper's beta2): high leaves certain tokens alone."""
    forget_weight: float = 1.0
    """Weight of the forget term."""
    retain_weight: float = 0.1
    """Weight of the retain term."""
    descent: Descent = Descent(lr=3e-3, epochs=10)
    """Optimiser settings."""

    def run(self, model: Model, splits: Splits, job: Job) -> Model:
        """Return the model after descending the loss."""

        def loss(step: Step) -> Tensor:
            nll = position_nll(model.logits(step.joint), step.joint.targets)
            first, second = nll[step.is_forget], nll[~step.is_forget]
            push = -step.position_mean(saturation_importance(first, self.saturation, self.importance) * first)
            return self.forget_weight * push + self.retain_weight * step.position_mean(second)

        descend(model, job, self.descent, loss, forget=splits.forget, retain=splits.retain)
        return model
