"""Gradient ascent on the forget rows."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.descend import Descent, Step, descend


@dataclass(frozen=True, kw_only=True)
class Ascent:
    """Raise the training loss of the forget rows.

    The loss has no lower bound and nothing holds the rest of the model: run long enough it destroys the model. Loss: mean over forget
    rows of (1/length) log p(row), each row's mean over its scored positions.

    Source: Jang et al. 2023 and the TOFU paper. Differs: see `differs`. Reads forget. Moves every parameter in scope. Cost: one forward
    and backward a step over forget rows.
    """

    about = About(
        needs=("forget",),
        modalities=("text", "vision", "tabular", "diffusion"),
        claim="A few passes forget the rows; going on collapses what is to be kept.",
        paper="Knowledge Unlearning for Mitigating Privacy Risks in Language Models",
        link="https://arxiv.org/abs/2210.01504",
        year=2023,
        differs=(
            "Every row weighs the same, as in the TOFU paper; published code takes the mean over all tokens of a batch, so that long "
            "answers weigh more.",
        ),
        cost="1 forward + 1 backward over forget rows a step",
        search={"lr": ("log", 1e-4, 1e-2)},
    )

    descent: Descent = Descent(lr=6e-4, epochs=5)
    """Optimiser settings."""

    def run(self, model: Model, splits: Splits, job: Job) -> Model:
        """Return the model after ascending."""

        def loss(step: Step) -> Tensor:
            return -step.forget_mean(step.total_losses()[0] / step.lengths()[0])

        descend(model, job, self.descent, loss, forget=splits.forget)
        return model
