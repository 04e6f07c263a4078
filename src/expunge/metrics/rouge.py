"""ROUGE-L of what the model says against the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.engine.readings import rouges
from expunge.facts.score import Score
from expunge.statistics.clusters import FloatArray
from expunge.statistics.summary import ideal_for, mean_score


@dataclass(frozen=True, kw_only=True)
class Rouge:
    """Measure how much of each answer the model's own greedy answer repeats, in order.

    With LCS the longest common subsequence of stemmed words: recall = LCS / words of the answer, f1 = 2 LCS / (words of both).

    Source: Lin 2004; equal to rouge-score with stemming. Reads generations. Cost: microseconds a row.
    """

    about = About(
        needs=("generations",),
        modalities=("text",),
        claim="On forget rows recall falls from near 1 for the target to that of the retrained model.",
        paper="ROUGE: A Package for Automatic Evaluation of Summaries",
        link="https://aclanthology.org/W04-1013/",
        year=2004,
        stochastic=False,
        cost="one greedy generation a row, made once for all units",
    )

    measure: str = "recall"
    """recall (TOFU) or f1 (MUSE)."""

    def __post_init__(self) -> None:
        if self.measure not in ("recall", "f1"):
            raise ValueError(f"measure must be recall or f1, not {self.measure!r}")

    def run(self, evidence: Evidence) -> Mapping[str, Score]:
        """Return the mean of each split that the model generated on."""
        return {
            split: mean_score(
                f"rougeL {self.measure}",
                partial(self._values, evidence, split),
                evidence.rows[split].groups,
                ideal=ideal_for(split),
            )
            for split in evidence.generations
        }

    def _values(self, evidence: Evidence, split: str) -> FloatArray:
        return np.array([getattr(one, self.measure) for one in rouges(evidence, split)], np.float64)
