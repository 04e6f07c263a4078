"""Constrained entropic unlearning by primal and dual steps."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.descend import Descent, Step, descend, riding
from expunge.engine.order import cut
from expunge.engine.parallel import total
from expunge.facts.rows import Rows
from expunge.maths.losses import position_nll


def logit_flatness(logits: Tensor) -> Tensor:
    """Return (largest logit - mean logit)^2: 0 where the prediction is uniform, (positions,)."""
    return (logits.float().amax(-1) - logits.float().mean(-1)).square()


def dual_step(dual: float, retain_loss: float, bound: float, size: float) -> float:
    """Return max(0, dual + size (retain_loss - bound)): the dual variable grows while the constraint is broken."""
    return max(0.0, dual + size * (retain_loss - bound))


@torch.no_grad()
def mean_loss(model: Model, rows: Rows, size: int) -> float:
    """Return the mean of -log p over all scored positions of `rows`."""
    batches = [model.pack([rows[i] for i in part]) for part in cut(range(len(rows)), size)]
    return sum(float(model.total_loss(batch).sum()) for batch in batches) / sum(len(batch.owner) for batch in batches)


@dataclass(frozen=True, kw_only=True)
class PDU:
    """Flatten predictions on forget rows, subject to the retain loss staying under a bound; the dual variable finds the weight.

    Loss: mean over forget positions of (max z - mean z)^2 + dual * (L_r - bound), L_r the mean over retain positions of -log p. After each
    step past the warm-up epochs: dual <- max(0, dual + dual_size (L_r - bound)).

    Source: Entesari et al. 2025. Differs: see `differs`. Reads forget and retain. Moves every parameter in scope. Cost: one joint
    forward and backward a step, and one forward over the retain rows used.
    """

    about = About(
        needs=("forget", "retain", "logits"),
        modalities=("text", "vision", "tabular"),
        claim="Makes forget predictions uniform while the retain loss stays under a bound given beforehand.",
        paper="Constrained Entropic Unlearning: A Primal-Dual Framework for Large Language Models",
        link="https://arxiv.org/abs/2506.05314",
        year=2025,
        differs=(
            "The bound is given as slack over the target's own loss on the retain rows used, which is measured first.",
            "Uniform is not what a model trained again answers: of a class of digits its entropy is .17 of the uniform one's, "
            ".97 after PDU.",
        ),
        cost="1 forward + 1 backward over forget and retain rows a step; 1 forward over retain rows before",
        search={"lr": ("log", 2e-4, 1e-2), "dual": ("log", 5.0, 100.0), "slack": ("log", 0.02, 0.3)},
    )

    dual: float = 50.0
    """The dual variable at the start: the weight of the retain loss."""
    dual_size: float = 1.0
    """Step of the dual variable."""
    slack: float = 0.05
    """Nats a position by which the retain loss may rise above the target's."""
    warmup_epochs: int = 5
    """Epochs before the dual variable starts to move."""
    descent: Descent = Descent(lr=2e-3, epochs=10)
    """Optimiser settings."""

    def run(self, model: Model, splits: Splits, job: Job) -> Model:
        """Return the model after descending; notes the bound and the last dual variable."""
        forget, retain = splits.forget, splits.retain
        order = riding(retain, job.seed)
        used = dict.fromkeys(next(order) for _ in range(self.descent.epochs * len(forget)))
        bound = self.slack + mean_loss(model, retain.take(list(used)), self.descent.batch_size)
        job.notes["retain_bound"], job.notes["dual"] = bound, self.dual

        def loss(step: Step) -> Tensor:
            logits, targets, at = model.logits(step.joint), step.joint.targets, step.is_forget
            push = step.position_mean(logit_flatness(logits[at]))
            keep = step.position_mean(position_nll(logits[~at], targets[~at]))
            dual: float = job.notes["dual"]
            if step.epoch >= self.warmup_epochs:
                job.notes["dual"] = dual_step(dual, float(total(keep.detach())), bound, self.dual_size)
            return push + dual * keep

        descend(model, job, self.descent, loss, forget=forget, retain=retain)
        return model
