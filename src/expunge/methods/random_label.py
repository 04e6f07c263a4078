"""Relabel the forget rows at random and train on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.descend import Descent, Step, descend
from expunge.engine.order import cut
from expunge.facts.rows import Rows

ROWS = 64
"""Forget rows relabelled at once."""


@dataclass(frozen=True, kw_only=True)
class RandomLabel:
    """Train the forget rows towards labels drawn from the other classes, and retain rows towards their own.

    Redrawn at each step, the labels ask for a flat prediction over the wrong classes. With the saliency locator's mask this is SalUn.
    Of a regression they are drawn from the Gaussian of the targets' mean and standard deviation: redrawn, they ask for the mean; drawn
    once (`redraw = false`), this is the Gaussian amnesiac (Tarun et al. 2023, P014), which gives every forget row a wrong number.
    Loss: forget_weight * mean over forget positions of -log p(other label) + retain_weight * mean over retain positions of -log p.

    Source: Graves et al. 2021 (Amnesiac). Differs: see `differs`. Reads forget and retain. Moves every parameter in scope. Cost: one
    joint forward and backward a step.
    """

    about = About(
        needs=("forget", "retain"),
        modalities=("text", "vision", "tabular"),
        claim="Brings accuracy on a forgotten class to zero while the other classes keep theirs.",
        paper="Amnesiac Machine Learning",
        link="https://arxiv.org/abs/2010.10981",
        year=2021,
        differs=(
            "Labels are drawn anew each step, as SalUn's code does each epoch; Amnesiac draws them once (`redraw = false`).",
            "Mean and standard deviation of a regression are those of its model, of the retain rows where a plan trained it; "
            "the Gaussian amnesiac's are of all training rows.",
            "The true label is never drawn; SalUn's code may draw it.",
            "In text every answer token but the end is relabelled, behind the true answer so far.",
        ),
        cost="1 forward + 1 backward over forget and retain rows a step",
        search={"lr": ("log", 2e-4, 1e-2), "retain_weight": ("log", 0.5, 10.0)},
    )

    forget_weight: float = 1.0
    """Weight of the relabelled forget rows."""
    retain_weight: float = 5.0
    """Weight of the retain rows."""
    redraw: bool = True
    """Draw labels anew at each step; else each forget row keeps its first draw."""
    descent: Descent = Descent(lr=3e-3, epochs=10)
    """Optimiser settings."""

    def run(self, model: Model, splits: Splits, job: Job) -> Model:
        """Return the model trained on with wrong labels."""
        once = [] if self.redraw else _drawn_once(model, splits.forget, job)

        def loss(step: Step) -> Tensor:
            if once:
                wrong = [once[i] for i in step.forget_index.tolist()]
                targets = torch.cat([*wrong, step.joint.targets[~step.is_forget]])
            else:
                drawn = model.relabel(step.joint, job.generator)
                targets = torch.where(step.is_forget, drawn.targets, step.joint.targets)
            total_forget, total_retain = step.split(model.total_loss(replace(step.joint, targets=targets)))
            n_forget, n_retain = step.lengths()
            push = step.position_mean(total_forget, n_forget.sum())
            keep = step.position_mean(total_retain, n_retain.sum())
            return self.forget_weight * push + self.retain_weight * keep

        descend(model, job, self.descent, loss, forget=splits.forget, retain=splits.retain)
        return model


def _drawn_once(model: Model, forget: Rows, job: Job) -> list[Tensor]:
    """Return each forget row's wrong targets, drawn once, in row order."""
    found: list[Tensor] = []
    for indices in cut(range(len(forget)), ROWS):
        drawn = model.relabel(model.pack(forget.take(indices)), job.generator)
        found.extend(torch.split(drawn.targets, drawn.lengths().tolist()))
    return found
