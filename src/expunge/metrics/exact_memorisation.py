"""Exact memorisation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.engine.readings import own_scores
from expunge.facts.score import Score
from expunge.statistics.memorisation import exact_memorisation
from expunge.statistics.summary import ideal_for, mean_score


@dataclass(frozen=True, kw_only=True)
class ExactMemorisation:
    """Measure the share of an answer's tokens that are the model's first choice behind the true tokens before them.

    The end of the sequence is left out.

    Source: Tirumala et al. 2022. Reads the one pass.
    """

    about = About(
        needs=("scores",),
        modalities=("text",),
        claim="It is near 1 for the target on forget rows and falls to that of the retrained model, which shares templates.",
        paper="Memorization Without Overfitting: Analyzing the Training Dynamics of Large Language Models",
        link="https://arxiv.org/abs/2205.10770",
        year=2022,
        stochastic=False,
        cost="arithmetic on the one pass",
    )

    def run(self, evidence: Evidence) -> Mapping[str, Score]:
        """Return the mean a split."""
        return {
            split: mean_score(
                "exact memorisation",
                lambda split=split: exact_memorisation(own_scores(evidence, split)),  # type: ignore[misc]
                rows.groups,
                ideal=ideal_for(split),
            )
            for split, rows in evidence.rows.items()
        }
