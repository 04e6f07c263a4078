"""Boundary shrink: hand each forget row to the class next to it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.descend import Descent, Step, descend
from expunge.engine.inputs import stepped_across
from expunge.engine.order import cut
from expunge.facts.rows import Rows

ROWS = 256
"""Rows of one pass of the search for neighbours."""


@torch.no_grad()
def neighbours(model: Model, rows: Rows, *, bound: float, job: Job) -> tuple[Tensor, int]:
    """Return the class next to each row, (rows,), and for how many the step crossed the boundary.

    That is the likeliest class but the row's own at x + bound * sign(d loss / d x).
    """
    found, crossed = [], 0
    for indices in cut(range(len(rows)), ROWS):
        batch = model.pack(rows.take(indices))
        logits = model.logits(stepped_across(model, batch, size=bound, job=job))
        crossed += int((logits.argmax(-1) != batch.targets).sum())
        found.append(logits.scatter(-1, batch.targets[:, None], -torch.inf).argmax(-1))
    return torch.cat(found), crossed


@dataclass(frozen=True, kw_only=True)
class BoundaryShrink:
    """Train the forget rows towards the nearest wrong class of each, found once by one signed gradient step on its input.

    The decision region of the forget class shrinks to nothing along its own borders, and other regions only grow into it. Loss: mean
    over forget rows of -log p(y'), y' = argmax over classes but y of the target at x' = x + bound * sign(d loss(x, y) / d x).

    Source: Chen et al. 2023. Differs: see `differs`. Reads forget. Moves every parameter in scope. Cost: two forwards and a backward
    over the forget rows once, then one forward and backward a step over forget rows.
    """

    about = About(
        needs=("forget", "logits", "gradients"),
        modalities=("vision", "tabular"),
        claim="Forgets a whole class from its forget rows alone, in a fraction of retraining's time, and keeps the other classes.",
        paper="Boundary Unlearning: Rapid Forgetting of Deep Networks via Shifting the Decision Boundary",
        link="https://arxiv.org/abs/2303.11570",
        year=2023,
        differs=(
            "A row whose step crosses no boundary gets its likeliest wrong class; by the paper's arg-max it would be trained on its own.",
            "The moved input is not clipped to the range of pixels; `bound` is on the scale of the network's input.",
            "AdamW where the paper has SGD.",
        ),
        cost="2 forwards + 1 backward over forget rows once, 1 forward + 1 backward over forget rows a step",
        search={"lr": ("log", 1e-4, 1e-2), "bound": ("log", 0.03, 1.0)},
    )

    bound: float = 0.25
    """How far each entry of a row's input is moved to find its neighbour; the paper's 0.1 of the range of pixels."""
    descent: Descent = Descent(lr=1e-3, epochs=3)
    """Optimiser settings."""

    def run(self, model: Model, splits: Splits, job: Job) -> Model:
        """Return the model trained on with neighbouring labels."""
        forget = splits.forget
        labels, job.notes["crossed_rows"] = neighbours(model, forget, bound=self.bound, job=job)

        def loss(step: Step) -> Tensor:
            wanted = labels[step.forget_index.to(labels.device)]
            return step.forget_mean(model.total_loss(replace(step.forget_batch, targets=wanted)))

        descend(model, job, self.descent, loss, forget=forget)
        return model
