"""CF-k: fine-tune the last layers on the retain rows."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.descend import Descent, Step, descend
from expunge.engine.last_sites import last_parameters, only


@dataclass(frozen=True, kw_only=True)
class CFK:
    """Train the last k layers on with the retain rows, the layers below frozen, and trust that they forget.

    Loss: mean over retain rows of -log p. The layers below keep all they knew: a new head on them shows it.

    Source: Goel et al. 2022. Differs: see `differs`. Reads retain. Moves the last k of stem, blocks and head. Cost: one forward and a
    short backward a step over retain rows.
    """

    about = About(
        needs=("retain", "sites"),
        modalities=("vision", "tabular"),
        claim="Keeps the retain rows at less cost than fine-tuning everything, and forgets less than training the same layers anew.",
        paper="Towards Adversarial Evaluations for Inexact Machine Unlearning",
        link="https://arxiv.org/abs/2201.06640",
        year=2022,
        scope=("full",),
        differs=(
            "A layer is a stem, a block or the head (what lies between goes with the later one).",
            "AdamW for SGD.",
        ),
        cost="1 forward + 1 backward through the last k layers over retain rows a step",
        search={"lr": ("log", 2e-4, 2e-2), "k": ("int", 1, 2)},
        allowances={
            "forgets": "where the layers below tell single rows apart, a head trained on fits the forget rows too: "
            "loss .075 before, .055 after, on the table of the checks"
        },
    )

    k: int = 1
    """How many of the last layers are trained."""
    descent: Descent = Descent(lr=6e-3, epochs=10, batch_size=64)
    """Optimiser settings; epochs are passes over the retain rows."""

    def run(self, model: Model, splits: Splits, job: Job) -> Model:
        """Return the model trained on."""

        def loss(step: Step) -> Tensor:
            return step.retain_mean(model.total_loss(step.retain_batch))

        with only(model, last_parameters(model, self.k)):
            descend(model, job, self.descent, loss, retain=splits.retain, label="fine-tuning")
        return model
