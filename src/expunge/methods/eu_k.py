"""EU-k: draw the last layers anew and train them on the retain rows."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.descend import Descent, Step, descend
from expunge.engine.edit import write
from expunge.engine.last_sites import last_parameters, only


@dataclass(frozen=True, kw_only=True)
class EUK:
    """Give the last k layers newly drawn weights and train them on the retain rows, the layers below frozen.

    Exact for the layers it draws anew, given the others: what the frozen ones hold of the forget rows stays. New weights are those
    of a fresh model of the same architecture, parameter by parameter, so that no nested module is passed over. Loss: mean over retain
    rows of -log p.

    Source: Goel et al. 2022. Differs: see `differs`. Reads retain. Moves the last k of stem, blocks and head. Cost: one forward and a
    short backward a step over retain rows.
    """

    about = About(
        needs=("retain", "sites"),
        modalities=("vision", "tabular"),
        claim="Forgets more than fine-tuning the same layers, at less than retraining's cost; the layers below forget nothing.",
        paper="Towards Adversarial Evaluations for Inexact Machine Unlearning",
        link="https://arxiv.org/abs/2201.06640",
        year=2022,
        scope=("full",),
        differs=(
            "A layer is a stem, a block or the head (what lies between goes with the later one).",
            "Its own optimiser settings (AdamW), where the paper trains as the target was.",
            "Request after request earlier classes can come back: the head's rows for them are drawn anew, and nothing holds them down.",
            "A published copy resets only direct children that can reset themselves, so that a stage of nested modules keeps its weights.",
        ),
        cost="1 forward + 1 backward through the last k layers over retain rows a step",
        search={"lr": ("log", 1e-3, 2e-2), "k": ("int", 1, 2)},
    )

    k: int = 1
    """How many of the last layers are drawn anew and trained."""
    descent: Descent = Descent(lr=6e-3, epochs=10, batch_size=64)
    """Optimiser settings; epochs are passes over the retain rows."""

    def run(self, model: Model, splits: Splits, job: Job) -> Model:
        """Return the model with its last layers trained anew."""
        anew = last_parameters(model, self.k)
        drawn = dict(model.fresh(job.fresh_seed).module.named_parameters())
        for name, parameter in model.module.named_parameters():
            if name in anew:
                write(job, name, parameter, drawn[name])

        def loss(step: Step) -> Tensor:
            return step.retain_mean(model.total_loss(step.retain_batch))

        with only(model, anew):
            descend(model, job, self.descent, loss, retain=splits.retain, label="training anew")
        return model
