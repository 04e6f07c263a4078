"""Extraction strength."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.engine.readings import own_scores
from expunge.facts.score import Score
from expunge.statistics.memorisation import extraction_strength
from expunge.statistics.summary import ideal_for, mean_score


@dataclass(frozen=True, kw_only=True)
class ExtractionStrength:
    """Measure how much of an answer follows by itself once its beginning is given.

    With k the least number of answer tokens after which the model's first choice is right up to the last token, the strength is 1 - k / L
    over the L tokens without the end: 1 where the prompt alone brings it all, 0 where not even the last token follows.

    Source: Carlini et al. 2021. Differs: see `differs`. Reads the one pass.
    """

    about = About(
        needs=("scores",),
        modalities=("text",),
        claim="It is near 1 for the target on forget rows and falls to that of the retrained model; a collapsed model has 0.",
        paper="Extracting Training Data from Large Language Models",
        link="https://arxiv.org/abs/2012.07805",
        year=2021,
        stochastic=False,
        differs=("Its floor is 0; the standard framework's is 1 / L, and stands here under its own name.",),
        cost="arithmetic on the one pass",
    )

    def run(self, evidence: Evidence) -> Mapping[str, Score]:
        """Return the mean a split."""
        return {
            split: mean_score(
                "extraction strength",
                lambda split=split: extraction_strength(own_scores(evidence, split)),  # type: ignore[misc]
                rows.groups,
                ideal=ideal_for(split),
            )
            for split, rows in evidence.rows.items()
        }
