"""Extraction strength as the standard framework computes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.engine.readings import own_scores
from expunge.facts.score import Score
from expunge.statistics.memorisation import extraction_strength_open_unlearning
from expunge.statistics.summary import ideal_for, mean_score


@dataclass(frozen=True, kw_only=True)
class ExtractionStrengthOpenUnlearning:
    """Measure extraction strength with the standard framework's floor, to compare with its tables.

    Its loop ends one token before the answer does, whether or not that token is right, so that no answer of L tokens falls below 1 / L: a
    random model scores about 0.03, and so does a collapsed one. Use `extraction_strength` for everything else.

    Source: open-unlearning. Reads the one pass.
    """

    about = About(
        needs=("scores",),
        modalities=("text",),
        claim="It exceeds extraction_strength by the mean of 1 / L over the answers whose last token is wrong.",
        paper="OpenUnlearning: Accelerating LLM Unlearning via Unified Benchmarking of Methods and Metrics",
        link="https://arxiv.org/abs/2506.12618",
        year=2025,
        stochastic=False,
        cost="arithmetic on the one pass",
    )

    def run(self, evidence: Evidence) -> Mapping[str, Score]:
        """Return the mean a split."""
        return {
            split: mean_score(
                "extraction strength (floor 1/L)",
                lambda split=split: extraction_strength_open_unlearning(own_scores(evidence, split)),  # type: ignore[misc]
                rows.groups,
                ideal=ideal_for(split),
            )
            for split, rows in evidence.rows.items()
        }
