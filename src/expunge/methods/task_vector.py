"""Task vector negation."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.descend import Descent, Step, descend
from expunge.engine.edit import write


def negated(before: Tensor, tuned: Tensor, alpha: float) -> Tensor:
    """Return before - alpha (tuned - before)."""
    return before - alpha * (tuned - before)


@dataclass(frozen=True, kw_only=True)
class TaskVector:
    """Fine-tune on the forget rows, then go the same way in the weights, backwards.

    What training on the rows changes is, to first order, what knowing them consists of: theta - alpha (theta_tuned - theta). The
    fine-tuning loss is the mean over forget positions of -log p.

    Source: Ilharco et al. 2023. Reads forget. Moves every parameter in scope. Cost: one fine-tuning on forget; one copy of the weights in
    scope.
    """

    about = About(
        needs=("forget",),
        modalities=("text", "vision", "tabular", "diffusion"),
        claim="Lowers performance on the negated task while a control task changes little.",
        paper="Editing Models with Task Arithmetic",
        link="https://arxiv.org/abs/2212.04089",
        year=2023,
        scope=("full", "layers"),
        differs=(
            "A target that fits the forget rows already gives a small and noisy vector; the paper negates tasks that the model was not "
            "tuned on.",
            "On a class of digits the other classes lose .4 points [.1, .7] at the rate that forgets (five targets).",
        ),
        cost="1 forward + 1 backward over forget rows a step; a copy of the weights in scope",
        search={"lr": ("log", 1e-4, 1e-2), "alpha": ("log", 0.5, 5.0)},
    )

    alpha: float = 4.0
    """How far to go back along the vector."""
    descent: Descent = Descent(lr=3e-4, epochs=10)
    """Optimiser settings of the fine-tuning."""

    def run(self, model: Model, splits: Splits, job: Job) -> Model:
        """Return the model with the vector subtracted."""
        named = {name: p for name, p in model.module.named_parameters() if p.requires_grad}
        before = {name: p.detach().clone() for name, p in named.items()}

        def loss(step: Step) -> Tensor:
            return step.position_mean(step.total_losses()[0], step.lengths()[0].sum())

        descend(model, job, self.descent, loss, forget=splits.forget, label="tuning on forget")
        for name, parameter in named.items():
            write(job, name, parameter, negated(before[name], parameter.detach(), self.alpha))
        return model
