"""Representation misdirection for unlearning."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.descend import Descent, Step, descend, riding
from expunge.engine.order import cut
from expunge.engine.positions import segment_mean
from expunge.facts.errors import InputError
from expunge.facts.rows import Rows


def squared_distance(features: Tensor, wanted: Tensor) -> Tensor:
    """Return the squared distance a position, averaged over the width, (positions,)."""
    return (features.float() - wanted.float()).square().mean(-1)


def control_vector(width: int, steering: float, generator: torch.Generator) -> Tensor:
    """Return a vector of length `steering` in a direction drawn uniformly from [0, 1)^width, (width,)."""
    drawn = torch.rand(width, generator=generator)
    return drawn * (steering / float(drawn.norm()))


@torch.no_grad()
def features_by_row(model: Model, rows: Rows, at: str, size: int) -> dict[str, Tensor]:
    """Return features of each row by id, (positions of the row, width): numbers in place of a frozen copy."""
    found: dict[str, Tensor] = {}
    for part in cut(range(len(rows)), size):
        batch = model.pack([rows[i] for i in part])
        cuts = torch.split(model.features(batch, at), batch.lengths().tolist())
        found.update((rows[i].id, piece.clone()) for i, piece in zip(part, cuts, strict=True))
    return found


@dataclass(frozen=True, kw_only=True)
class RMU:
    """Steer hidden features of forget rows to one random vector while those of retain rows stay where they were.

    What later layers read about the forget rows becomes noise. Loss: forget_weight * mean_f |h - c u|^2 + retain_weight *
    mean_r |h - h_frozen|^2, with h the features at one block, u a unit vector drawn once, |.|^2 averaged over the width,
    and means over rows of each row's mean over its scored positions.

    Source: Li et al. 2024 (WMDP). Differs: see `differs`. Reads forget and retain. Moves parameters in scope at or below the site.
    Cost: one joint forward and backward a step, no deeper than the site, and one such forward over the retain rows used.
    """

    about = About(
        needs=("forget", "retain", "frozen", "features", "sites"),
        modalities=("text",),
        claim="Brings hazardous-knowledge accuracy near chance while general accuracy stays near the target's.",
        paper="The WMDP Benchmark: Measuring and Reducing Malicious Use With Unlearning",
        link="https://arxiv.org/abs/2403.03218",
        year=2024,
        differs=(
            "Text only: an image class whose features all move to one point is still told apart (80% to 98% of a digit was recalled).",
            "Every parameter in scope below the site may move; the paper trains three down projections (use scope and mask for that).",
            "Squared distances are averaged over the width, as published code does; the paper sums them.",
            "Features count at scored positions; the paper's corpora score every position.",
            "Frozen features of the retain rows used are computed once; no second model stays in memory.",
        ),
        cost="1 truncated forward + backward over forget and retain rows a step; 1 truncated forward over retain rows before",
        search={"lr": ("log", 2e-4, 1e-2), "steering": ("log", 1.0, 30.0), "retain_weight": ("log", 1.0, 100.0)},
        inert_when={"depth": "at is given"},
    )

    at: str = ""
    """Module whose output is steered; empty for the block at `depth`."""
    depth: float = 0.5
    """Where the steered block stands, as a share of the blocks (the paper's layer 7 of 32 is 0.25)."""
    steering: float = 6.5
    """Length c of the control vector; features of the target should be shorter."""
    forget_weight: float = 1.0
    """Weight of the forget term."""
    retain_weight: float = 5.0
    """Weight of the retain term."""
    descent: Descent = Descent(lr=3e-3, epochs=10)
    """Optimiser settings."""

    def _site(self, model: Model) -> str:
        blocks = model.sites().blocks
        if not self.at and not blocks:
            raise InputError("rmu steers a block's output and this model names no blocks", do="--set at=MODULE")
        return self.at or blocks[max(0, math.ceil(self.depth * len(blocks)) - 1)]

    def run(self, model: Model, splits: Splits, job: Job) -> Model:
        """Return the model after descending the loss."""
        forget, retain, at, size = splits.forget, splits.retain, self._site(model), self.descent.batch_size
        order = riding(retain, job.seed)
        used = list(dict.fromkeys(next(order) for _ in range(self.descent.epochs * len(forget))))
        kept = features_by_row(model, retain.take(used), at, size)
        width = next(iter(kept.values())).shape[-1]
        control = control_vector(width, self.steering, job.generator).to(model.device)
        job.notes["site"] = at

        def loss(step: Step) -> Tensor:
            features = model.features(step.joint, at)
            push = squared_distance(features[step.is_forget], control)
            keep = squared_distance(features[~step.is_forget], torch.cat([kept[row.id] for row in step.retain]))
            rows = segment_mean(torch.cat([push, keep]), step.joint.owner, step.joint.size)
            first, second = step.split(rows)
            return self.forget_weight * step.forget_mean(first) + self.retain_weight * step.retain_mean(second)

        descend(model, job, self.descent, loss, forget=forget, retain=retain)
        return model
