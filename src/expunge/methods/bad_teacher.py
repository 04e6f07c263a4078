"""Follow an untrained teacher on forget rows and the frozen target on retain rows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.descend import Descent, Step, descend
from expunge.engine.frozen import frozen_copy
from expunge.maths.divergences import kl_divergence


@dataclass(frozen=True, kw_only=True)
class BadTeacher:
    """Teach the forget rows from a model that knows nothing, and retain rows from the frozen target.

    Loss: forget_weight * mean over forget positions of KL(untrained || model) + retain_weight * mean over retain positions of
    KL(frozen || model). The untrained teacher has newly drawn weights under the run's seed.

    Source: Chundawat et al. 2023. Differs: see `differs`. Reads forget and retain. Moves every parameter in scope. Cost: one joint
    forward and backward, and one forward of each teacher over its rows, a step.
    """

    about = About(
        needs=("forget", "retain", "frozen", "logits"),
        modalities=("text", "vision", "tabular"),
        claim="Predictions on forget rows become an untrained model's while retain accuracy stays.",
        paper="Can Bad Teaching Induce Forgetting? Unlearning in Deep Networks using an Incompetent Teacher",
        link="https://arxiv.org/abs/2205.08096",
        year=2023,
        differs=(
            "Each step has as many retain rows as forget rows; the paper mixes all forget rows with 30% of the retain rows.",
            "The divergence is summed over classes; published code averages over them (reduction 'mean').",
            "The claim holds for a class of digits (likeness to an untrained model .84, retain error .3%; five problems), not with wrong "
            "labels (.94 at a retain error of 23%, or .60 at 4.8%, by the settings of two searches; retrained .30, nothing .24). An "
            "untrained model's answers are not a retrained model's: with wrong labels it lies .52 (.26) bits from these, doing nothing "
            ".29; on a class .49 and 1.0.",
        ),
        cost="1 forward + 1 backward over forget and retain rows, 1 forward of a teacher over each; two more models",
        search={"lr": ("log", 2e-4, 1e-2), "retain_weight": ("log", 0.5, 10.0)},
    )

    temperature: float = 1.0
    """Softens predictions inside the divergences."""
    forget_weight: float = 1.0
    """Weight of the untrained teacher."""
    retain_weight: float = 5.0
    """Weight of the frozen target."""
    descent: Descent = Descent(lr=2e-3, epochs=10)
    """Optimiser settings."""

    def run(self, model: Model, splits: Splits, job: Job) -> Model:
        """Return the model after descending the loss."""
        frozen, untrained = frozen_copy(model), model.fresh(job.fresh_seed)

        def loss(step: Step) -> Tensor:
            logits, at = model.logits(step.joint), step.is_forget
            with torch.no_grad():
                bad, good = untrained.logits(step.forget_batch), frozen.logits(step.retain_batch)
            push = step.position_mean(kl_divergence(bad, logits[at], self.temperature))
            keep = step.position_mean(kl_divergence(good, logits[~at], self.temperature))
            return self.forget_weight * push + self.retain_weight * keep

        descend(model, job, self.descent, loss, forget=splits.forget, retain=splits.retain)
        return model
