"""Accuracy of a classifier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.facts.score import Score
from expunge.statistics.answers import predicted
from expunge.statistics.summary import ideal_for, mean_score


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Measure the share of rows whose label is the model's first choice.

    On randomly chosen forget rows of easy data it says nothing: a retrained model gets them right as well.

    Source: Golatkar et al. 2020. Reads the one pass.
    """

    about = About(
        needs=("scores", "logits"),
        modalities=("vision", "tabular"),
        claim="Where a class is forgotten it falls to 0 on forget rows and stays the retrained model's on test rows.",
        paper="Eternal Sunshine of the Spotless Net: Selective Forgetting in Deep Networks",
        link="https://arxiv.org/abs/1911.04933",
        year=2020,
        stochastic=False,
        cost="arithmetic on the one pass",
    )

    def run(self, evidence: Evidence) -> Mapping[str, Score]:
        """Return the mean a split."""
        return {
            split: mean_score(
                "accuracy",
                lambda split=split, rows=rows: predicted(evidence.of(split), rows),  # type: ignore[misc]
                rows.groups,
                ideal=ideal_for(split),
            )
            for split, rows in evidence.rows.items()
        }
