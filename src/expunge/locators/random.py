"""Entries drawn at random: what a locator must beat."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.mask import Mask
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.gradients import trainable
from expunge.engine.select import Portion


@dataclass(frozen=True, kw_only=True)
class Random:
    """Let entries move that are drawn uniformly: the same number as another locator, chosen without looking.

    What a locator gains over this is due to where it points; what it does not gain is due to moving fewer entries.

    Source: the random masks of Jia et al. 2024 (WAGLE). Differs: see `differs`.
    Reads nothing. Moves nothing. Cost: one random number an entry.
    """

    about = About(
        needs=(),
        modalities=("text", "vision", "tabular", "diffusion"),
        claim="As a mask for NPO it forgets less at equal utility than weight attribution.",
        paper="WAGLE: Strategic Weight Attribution for Effective and Modular Unlearning in Large Language Models",
        link="https://arxiv.org/abs/2410.17509",
        year=2024,
        paper_id="P035",
        differs=(
            "Drawn on the CPU from the job's generator, so that a seed gives one mask on every device.",
            "On a class of digits it forgets less than attribution at one rate (33 points [18, 48]); with the rate that forgets, each its "
            "own, they keep the same (-.2 points [-.9, .5], five targets).",
        ),
        cost="1 random number an entry",
    )

    portion: Portion = Portion(ratio=0.5)
    """Share of entries that may move."""

    def run(self, model: Model, splits: Splits, job: Job) -> Mask:
        """Return a mask of entries drawn from the job's generator."""
        return self.portion.mask(
            {name: torch.rand(p.shape, generator=job.generator) for name, p in trainable(model.module).items()}
        )
