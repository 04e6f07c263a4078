"""UNSIR: impair with noise learnt to be as wrong as can be for the class, then repair."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.model import Batch, Model
from expunge.contract.splits import Splits
from expunge.engine.descend import Descent, Step, descend, descend_on, one_pass, shared_out
from expunge.engine.inputs import error_maximising, input_of, moved_to
from expunge.facts.rows import Rows


@dataclass(frozen=True, kw_only=True)
class UNSIR:
    """Learn inputs on which the target is most wrong about the forget class, teach them as that class, then repair on retain rows.

    To fit the noise the model must give up what it knew of the class: no forget row is shown to it, only which classes they bear.
    Noise: x from N(0, 1), Adam on -mean loss(x, c) + penalty * mean |x|^2 at frozen weights. Impair: noise_weight * mean over noise
    of -log p(c) + mean over retain rows of -log p. Repair: the latter alone.

    Source: Tarun et al. 2021. Differs: see `differs`. Reads forget (labels) and retain. Moves every parameter in scope. Cost: below.
    """

    about = About(
        needs=("forget", "retain", "logits", "gradients"),
        modalities=("vision", "tabular"),
        claim="Forgets a class without seeing a row of it, in two epochs, and keeps the other classes near.",
        paper="Fast Yet Effective Machine Unlearning",
        link="https://arxiv.org/abs/2111.08947",
        year=2021,
        differs=(
            "All retain rows, where the paper has a random part of them; as many noise rows a step as retain rows.",
            "The noise is learnt once for each class and drawn from anew each step; the reference code shows its 256 rows 20 times each.",
            "Meant for classes: where retain rows bear the same class, the repair brings it back.",
        ),
        cost="noise_steps forwards and backwards over noise_rows a class; 1 forward + 1 backward a step over retain rows and noise",
        staged=True,
        search={"lr": ("log", 1e-3, 3e-2), "noise_weight": ("log", 0.1, 3.0), "repair_lr": ("log", 2e-4, 1e-2)},
        allowances={
            "split forget": "only which classes the forget rows bear is read: half the rows bear the same classes (measured)"
        },
    )

    noise_rows: int = 64
    """Rows of noise learnt for each class."""
    noise_steps: int = 40
    """Adam steps on the noise; the reference code has 5 epochs of 8."""
    noise_lr: float = 0.1
    """Learning rate of the noise."""
    penalty: float = 0.1
    """Weight of the noise's squared length."""
    noise_weight: float = 1.0
    """Weight of the noise against the retain rows while impairing."""
    repair_epochs: int = 1
    """Passes over the retain rows that repair."""
    repair_lr: float = 2e-3
    """Peak learning rate of the repair."""
    descent: Descent = Descent(lr=4e-3, epochs=1, batch_size=32)
    """Optimiser settings; lr and epochs (passes over the retain rows) are the impairing's own."""

    def noise(self, model: Model, forget: Rows, job: Job) -> Batch:
        """Return `noise_rows` rows of error-maximising noise for each class of the forget rows, bearing that class."""
        packed = model.pack(forget)
        classes = torch.unique(packed.targets).repeat_interleave(self.noise_rows)
        drawn = torch.randn((len(classes), *input_of(packed).shape[1:]), generator=job.generator).to(input_of(packed))
        start = replace(
            moved_to(packed, drawn, classes), owner=torch.arange(len(classes), device=model.device), size=len(classes)
        )
        x = error_maximising(model, start, steps=self.noise_steps, lr=self.noise_lr, penalty=self.penalty, job=job)
        return moved_to(start, x)

    def run(self, model: Model, splits: Splits, job: Job) -> Model:
        """Return the model impaired and repaired."""
        retain, size = splits.retain, self.descent.batch_size
        noise = self.noise(model, splits.forget, job)

        def keep(step: Step) -> Tensor:
            return step.retain_mean(model.total_loss(step.retain_batch))

        def impair(step: Step) -> Tensor:
            drawn = torch.randint(noise.size, (len(step.whole),), generator=job.generator).to(model.device)
            shown = replace(
                moved_to(noise, input_of(noise)[drawn], noise.targets[drawn]),
                owner=torch.arange(len(drawn), device=model.device),
                size=len(drawn),
            )
            return self.noise_weight * step.position_mean(model.total_loss(shown)) + keep(step)

        def losses() -> Iterator[Callable[[], Tensor]]:
            for epoch in range(self.descent.epochs):
                steps = one_pass(model, job, size, epoch, forget=Rows(()), retain=retain)
                yield from (partial(impair, step) for step in steps)

        a_pass = math.ceil(len(retain) / size)
        steps, _ = shared_out([self.descent.epochs * a_pass, self.repair_epochs * a_pass], self.descent.max_steps)
        descend_on(model, job, self.descent, losses(), total=steps, label="impairing")
        repair = replace(self.descent, lr=self.repair_lr, epochs=self.repair_epochs)
        descend(model, job, repair, keep, retain=retain, label="repairing")
        return model
