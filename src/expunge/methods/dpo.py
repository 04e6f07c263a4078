"""Direct preference optimisation towards refusals."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.model import Model, Question
from expunge.contract.splits import Splits
from expunge.engine.descend import Descent, Step, descend
from expunge.engine.order import cut
from expunge.facts.errors import InputError
from expunge.facts.rows import Rows


def dpo_loss(win: Tensor, lose: Tensor, frozen_win: Tensor, frozen_lose: Tensor, beta: float) -> Tensor:
    """Return -log sigmoid(beta (log ratio of win - log ratio of lose)) of each example, from summed losses -log p, (batch,)."""
    return softplus(-beta * ((frozen_win - win) - (frozen_lose - lose)))


def choices(model: Model, rows: Rows, refusals: list[str]) -> list[Question]:
    """Return each row's prompt with its refusal and its answer: two examples behind one prompt."""
    asked = model.questions(rows)
    return [
        Question(one.row_id, one.prompt, {"refusal": refusal, "answer": one.answers["answer"]})
        for one, refusal in zip(asked, refusals, strict=True)
    ]


@dataclass(frozen=True, kw_only=True)
class DPO:
    """Prefer a refusal to the forget answer, as measured against the frozen target.

    Loss: forget_weight * mean_f -log sigmoid(beta [log p(refusal)/p_frozen(refusal) - log p(answer)/p_frozen(answer)]) + retain_weight *
    mean over retain positions of -log p; p is a product over an answer's tokens. Each forget row is given one refusal, drawn once.

    Source: Rafailov et al. 2023, with refusals as in the TOFU paper (IdkDPO). Differs: see `differs`. Reads forget and retain.
    Moves every parameter in scope. Cost: one joint forward and backward a step, and one pass over forget before the first.
    """

    about = About(
        needs=("forget", "retain", "frozen"),
        modalities=("text",),
        claim="Answers forget questions with a refusal at a higher utility than ascent.",
        paper="Direct Preference Optimization: Your Language Model is Secretly a Reward Model",
        link="https://arxiv.org/abs/2305.18290",
        year=2023,
        differs=(
            "The factor is 1, as in the paper; the standard framework has 2/beta.",
            "One refusal a row for the whole run, so that the frozen losses are two numbers a row and no second model stays in memory; "
            "published code draws anew each epoch.",
            "Refusal and answer share one prompt in one forward pass with the retain rows.",
        ),
        cost="1 forward + 1 backward over refusals, forget and retain rows a step; 1 forward over the first two before",
        search={"lr": ("log", 2e-4, 1e-2), "beta": ("log", 0.05, 1.0), "forget_weight": ("log", 1.0, 50.0)},
    )

    beta: float = 0.1
    """Inverse temperature of the preference."""
    forget_weight: float = 20.0
    """Weight of the preference term; 2/beta makes its gradient at the target that of ascent and descent."""
    retain_weight: float = 1.0
    """Weight of the retain term."""
    refusals: tuple[str, ...] = (
        "I don't know.",
        "I'm not sure about that.",
        "I have no information on this.",
        "I can't answer that question.",
        "That is not something I know.",
    )
    """Answers to prefer; each forget row is given one of them."""
    descent: Descent = Descent(lr=5e-3, epochs=10)
    """Optimiser settings."""

    def run(self, model: Model, splits: Splits, job: Job) -> Model:
        """Return the model after descending the loss."""
        if not self.refusals:
            raise InputError("dpo needs at least one refusal to prefer", do="--set refusals=['I do not know.']")
        forget, retain = splits.forget, splits.retain
        drawn = torch.randint(len(self.refusals), (len(forget),), generator=job.generator).tolist()
        pairs = choices(model, forget, [self.refusals[i] for i in drawn])
        frozen = self._frozen(model, pairs)

        def loss(step: Step) -> Tensor:
            own = [pairs[i] for i in step.forget_index.tolist()]
            kept = [
                Question(one.row_id, one.prompt, {"answer": one.answers["answer"]})
                for one in model.questions(step.retain)
            ]
            batch = model.pack_questions([*own, *kept])
            totals, n = model.total_loss(batch), 2 * len(own)
            win, lose = totals[:n].view(-1, 2).unbind(1)
            frozen_win, frozen_lose = frozen[step.forget_index].to(totals.device).unbind(1)
            push = step.forget_mean(dpo_loss(win, lose, frozen_win, frozen_lose, self.beta))
            keep = step.position_mean(totals[n:], batch.lengths()[n:].sum())
            return self.forget_weight * push + self.retain_weight * keep

        descend(model, job, self.descent, loss, forget=forget, retain=retain)
        return model

    @torch.no_grad()
    def _frozen(self, model: Model, pairs: list[Question]) -> Tensor:
        parts = cut(range(len(pairs)), self.descent.batch_size)
        return torch.cat([model.total_loss(model.pack_questions([pairs[i] for i in part])) for part in parts]).view(
            -1, 2
        )
