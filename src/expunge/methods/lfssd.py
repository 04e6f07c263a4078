"""Loss-free selective synaptic dampening: importance from outputs, without labels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.dampen import Importances, dampen, output_sensitivity


@dataclass(frozen=True, kw_only=True)
class LFSSD:
    """Dampen the weights that move the outputs of forget rows much more than those of all rows; no training, no labels.

    The labels of what is to be forgotten may be gone or wrong; how far a weight moves the length of the output says where rows are held
    without them. Importance: mean over rows of |d ||f(row)||^2 / d theta|, f the logits. A weight with I_forget > alpha I_all
    becomes theta * min(lambda I_all / I_forget, 1), as in SSD.

    Source: Foster, Schoepf and Brintrup 2024. Differs: see `differs`.
    Reads forget and retain. Moves only the selected entries. Cost: one gradient pass over forget, and one over all rows that later removals
    need not repeat.
    """

    about = About(
        needs=("forget", "retain", "logits", "gradients"),
        modalities=("text", "vision", "tabular"),
        claim="Without labels it forgets as SSD does with them.",
        paper="Loss-Free Machine Unlearning",
        link="https://arxiv.org/abs/2402.19308",
        year=2024,
        paper_id="P127",
        scope=("full", "layers"),
        stochastic=False,
        differs=(
            "Takes the absolute value of per-example gradients, as the paper writes it; the public code takes it of batch gradients.",
            "I_all is taken over forget and retain rows together.",
            "A text's words are its inputs and are read; rows of other kinds must bear some label, which is never looked at.",
            "A class of digits, five small CNNs at its own alpha: 1 to 8% stay (gap to retrained 1.8; SSD 1.2 at its own, .15 searched).",
        ),
        cost="1 forward + 1 backward over forget rows, and over all rows once a target (job.cache)",
        search={"alpha": ("log", 1.0, 10.0), "dampening": ("log", 0.1, 1.0)},
    )

    alpha: float = 3.0
    """How many times more a weight must matter to forget than to all rows; from (all rows)/(forget rows) on none can."""
    dampening: float = 0.25
    """The paper's lambda: how strongly selected weights are dampened."""

    def run(self, model: Model, splits: Splits, job: Job) -> Model:
        """Return the model with selected weights dampened."""
        found = Importances.of(
            model, splits, partial(output_sensitivity, model, job=job), kind="output-sensitivity", job=job
        )
        dampen(model, found, alpha=self.alpha, dampening=self.dampening, job=job)
        return model
