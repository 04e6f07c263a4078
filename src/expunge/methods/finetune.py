"""Fine-tuning on the retain rows."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.descend import Descent, Step, descend


@dataclass(frozen=True, kw_only=True)
class Finetune:
    """Train on with the retain rows alone and trust that the forget rows fade.

    Nothing pushes the forget rows out: they fade only as far as the retain rows overwrite what they share. It stands here as the
    baseline that a removal must beat. Loss: mean over the scored positions of the retain rows of -log p.

    Source: the fine-tuning baseline of Golatkar et al. 2020. Reads retain. Moves every parameter in scope. Cost: one forward and
    backward a step over retain rows.
    """

    about = About(
        needs=("retain",),
        modalities=("text", "vision", "tabular", "diffusion"),
        claim="Keeps the retain rows; the forget rows fade only at learning rates as high as training's own.",
        paper="Eternal Sunshine of the Spotless Net: Selective Forgetting in Deep Networks",
        link="https://arxiv.org/abs/1911.04933",
        year=2020,
        cost="1 forward + 1 backward over retain rows a step",
        search={"lr": ("log", 2e-4, 2e-2)},
    )

    descent: Descent = Descent(lr=8e-3, epochs=10)
    """Optimiser settings; epochs are passes over the retain rows."""

    def run(self, model: Model, splits: Splits, job: Job) -> Model:
        """Return the model trained on."""

        def loss(step: Step) -> Tensor:
            return step.position_mean(step.total_losses()[1], step.lengths()[1].sum())

        descend(model, job, self.descent, loss, retain=splits.retain, label="fine-tuning")
        return model
