"""SCRUB: follow the frozen target on retain rows, leave it on forget rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice

import torch
from torch import Tensor

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.descend import Descent, Step, descend_on, one_pass, shared_out
from expunge.engine.frozen import frozen_copy
from expunge.facts.rows import Rows
from expunge.maths.divergences import kl_divergence
from expunge.maths.losses import position_nll


@dataclass(frozen=True, kw_only=True)
class SCRUB:
    """Alternate a pass that follows the frozen target on retain rows with one that moves away from it on forget rows.

    Min pass (every epoch): alpha KL(frozen || model) + gamma (-log p) over retain rows. Max pass (the first `max_epochs` epochs):
    -KL(frozen || model) over forget rows. KL is softened by a temperature and scaled by its square; all are means over scored
    positions. Ending on min passes repairs what the max passes broke.

    Source: Kurmanji et al. 2023. Differs: see `differs`. Reads forget and retain. Moves every parameter in scope. Cost: one forward and
    backward, and one forward of a frozen copy, a step.
    """

    about = About(
        needs=("forget", "retain", "frozen", "logits"),
        modalities=("text", "vision", "tabular"),
        claim="Raises forget error as retraining does where fine-tuning and ascent fail on one side.",
        paper="Towards Unbounded Machine Unlearning",
        link="https://arxiv.org/abs/2302.09880",
        year=2023,
        differs=(
            "Each epoch begins with its min pass: at the target itself the divergence has no gradient, and a max pass there follows "
            "rounding noise. Published code begins with the max pass and gets its gradient from batch norm in train mode.",
            "No rewinding to the epoch whose forget error matches a reference (SCRUB+R).",
            "AdamW for both passes, one learning rate schedule over all steps; published code uses SGD or Adam with step decay.",
            "On digits with wrong labels (five problems) the claim holds by average gap (2.8, retrained 1.1, ascent 13.0, "
            "fine-tuning 4.3: -1.5 [-2.2, -.8]); by forget error it is not told from fine-tuning (5.0 and 7.4 points from retraining: -2.3 "
            "[-5.0, .3]), by distributions it is further (.12 bits, .10). Fine-tuning forgets a class, too.",
        ),
        cost="1 forward + 1 backward over forget, then retain, rows, 1 frozen forward over the same; a second model",
        staged=True,
        search={"lr": ("log", 2e-4, 1e-2), "alpha": ("log", 1e-3, 1.0), "max_epochs": ("int", 1, 4)},
    )

    alpha: float = 0.1
    """Weight of the divergence on retain rows."""
    gamma: float = 0.99
    """Weight of -log p on retain rows."""
    temperature: float = 4.0
    """Softens both predictions inside the divergence."""
    max_epochs: int = 3
    """Epochs that end with a max pass; the rest only repair."""
    descent: Descent = Descent(lr=3e-3, epochs=5)
    """Optimiser settings; an epoch is a min pass over retain and a max pass over forget."""

    def run(self, model: Model, splits: Splits, job: Job) -> Model:
        """Return the model after the last min pass."""
        forget, retain, nothing = splits.forget, splits.retain, Rows(())
        frozen, size = frozen_copy(model), self.descent.batch_size

        def divergence(step: Step, logits: Tensor) -> Tensor:
            with torch.no_grad():
                wanted = frozen.logits(step.joint)
            return step.position_mean(kl_divergence(wanted, logits, self.temperature))

        def leave(step: Step) -> Tensor:
            return -divergence(step, model.logits(step.joint))

        def follow(step: Step) -> Tensor:
            logits = model.logits(step.joint)
            nll = step.position_mean(position_nll(logits, step.joint.targets))
            return self.alpha * divergence(step, logits) + self.gamma * nll

        passes = [
            (epoch, split)
            for epoch in range(self.descent.epochs)
            for split in (("retain", "forget") if epoch < self.max_epochs else ("retain",))
        ]
        loss = {"retain": follow, "forget": leave}
        steps = shared_out(
            [math.ceil(len(forget if split == "forget" else retain) / size) for _, split in passes],
            self.descent.max_steps,
        )

        def losses() -> Iterator[Callable[[], Tensor]]:
            for (epoch, split), taken in zip(passes, steps, strict=True):
                away, kept = (forget, nothing) if split == "forget" else (nothing, retain)
                every = one_pass(model, job, size, epoch, forget=away, retain=kept)
                yield from (partial(loss[split], step) for step in islice(every, taken))

        descend_on(model, job, self.descent, losses(), total=sum(steps), label="scrubbing")
        return model
