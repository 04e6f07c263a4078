"""Train the forget rows towards answers drawn from each other."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.descend import Descent, Step, descend
from expunge.facts.rows import Rows


@dataclass(frozen=True, kw_only=True)
class RandomAnswer:
    """Train each forget row towards the answer of a forget row drawn at random, and retain rows towards their own.

    The answers stay those of the skill and say nothing of the question: the best that a model can do is to answer by how frequent an
    answer is, which is chance. Drawn anew each step (its own answer among the draws): no wrong answer is there to be learnt by heart.
    Loss: forget_weight * mean over positions of -log p(drawn answer) + retain_weight * mean over retain positions of -log p.

    Source: Zhang, Choshen and Andreas 2024. Differs: see `differs`. Reads forget and retain. Moves every parameter in scope. Cost: one
    joint forward and backward a step.
    """

    about = About(
        needs=("forget", "retain"),
        modalities=("text",),
        claim="Examples of the skill that it is given are answered near chance; whether unseen ones are depends on the skill.",
        paper="Unforgettable Generalization in Language Models",
        link="https://arxiv.org/abs/2409.02228",
        year=2024,
        paper_id="P125",
        differs=(
            "Answers are drawn from the forget rows, in proportion to how often they stand there; the paper draws options of a task alike.",
            "They are drawn anew each step, and retain rows ride along (`retain_weight=0` leaves them out, as the paper does).",
        ),
        cost="1 forward + 1 backward over forget and retain rows a step",
        search={"lr": ("log", 2e-4, 1e-2), "retain_weight": ("log", 0.5, 10.0)},
    )

    forget_weight: float = 1.0
    """Weight of the forget rows with drawn answers."""
    retain_weight: float = 5.0
    """Weight of the retain rows."""
    descent: Descent = Descent(lr=3e-3, epochs=10)
    """Optimiser settings: those of random_label."""

    def run(self, model: Model, splits: Splits, job: Job) -> Model:
        """Return the model trained on with other rows' answers."""
        forget = splits.forget

        def loss(step: Step) -> Tensor:
            drawn = torch.randint(len(forget), (len(step.forget),), generator=job.generator).tolist()
            pairs = zip(step.forget, drawn, strict=True)
            wrong = Rows(tuple(row.replace(answer=forget[i]["answer"]) for row, i in pairs), "forget")
            batch = model.pack([*wrong, *step.retain])
            total_forget, total_retain = step.split(model.total_loss(batch))
            n_forget, n_retain = step.split(batch.lengths())
            push = step.position_mean(total_forget, n_forget.sum())
            keep = step.position_mean(total_retain, n_retain.sum())
            return self.forget_weight * push + self.retain_weight * keep

        descend(model, job, self.descent, loss, forget=forget, retain=splits.retain)
        return model
