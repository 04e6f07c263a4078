"""Membership by how alike a model's drawn answers are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.contract.units import Probe
from expunge.engine.generate import generate
from expunge.engine.membership import member_outcome
from expunge.engine.sample import sample
from expunge.engine.speaking import speaker
from expunge.facts.record import Outcome
from expunge.statistics.clusters import FloatArray
from expunge.statistics.peakedness import peakedness


@dataclass(frozen=True, kw_only=True)
class Cdd:
    """Take the share of drawn answers that are next to the greedy one as the member score.

    A model that learned an answer by heart says the same at temperature too; one that works it out says it in many ways. Sampled
    text is all it takes. Draws within an edit distance of alpha times the longest answer's tokens count as the same.

    Source: Dong et al. 2024. Differs: see `differs`. Cost: N sampled generations and a greedy one a row.
    """

    about = About(
        needs=("forget", "holdout", "model"),
        modalities=("text",),
        claim="From sampled text alone it tells what was trained on, in the same or in other words, better than perplexity does.",
        paper="Generalization or Memorization: Data Contamination and Trustworthy Evaluation for Large Language Models",
        link="https://arxiv.org/abs/2402.15938",
        year=2024,
        paper_id="P165",
        differs=(
            "The share is the score and no threshold (the paper's xi) makes it a yes or no; 20 draws, the paper takes 50.",
            "On people in a model of two layers it tells members (AUC .93, in other words .82; five draws); the loss does better (1.0).",
        ),
        battery="full",
        cost="N sampled and 1 greedy generation a row, forget and holdout",
    )

    draws: int = 20
    """Answers drawn a row (N)."""
    temperature: float = 0.8
    """Temperature of the draws."""
    alpha: float = 0.05
    """Share of the longest answer's tokens by which a draw may differ from the greedy one."""
    max_new_tokens: int = 100
    """Tokens an answer, at most; later ones do not count."""

    def __post_init__(self) -> None:
        if self.draws < 1 or self.temperature <= 0 or self.alpha < 0 or self.max_new_tokens < 1:
            raise ValueError("draws, temperature and max_new_tokens must be positive and alpha not negative")

    def run(self, evidence: Evidence, probe: Probe) -> Outcome:
        """Return a member score a row."""

        def scores_of(split: str) -> FloatArray:
            model = speaker(probe.model())
            prompts = [model.tokens.prompt_ids(str(row.get("prompt") or "")) for row in evidence.rows[split]]
            greedy = generate(model.module, prompts, model.tokens.eos, self.max_new_tokens)
            drawn = sample(
                model.module,
                prompts,
                model.tokens.eos,
                self.max_new_tokens,
                draws=self.draws,
                temperature=self.temperature,
                generator=probe.generator,
            )
            pairs = zip(drawn, greedy, strict=True)
            return np.array([peakedness(said, likeliest, alpha=self.alpha) for said, likeliest in pairs])

        return member_outcome("cdd", evidence, scores_of)
