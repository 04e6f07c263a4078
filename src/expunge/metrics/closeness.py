"""Closeness of predicted numbers to their targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.engine.readings import own_scores
from expunge.facts.score import Score
from expunge.statistics.clusters import FloatArray
from expunge.statistics.summary import ideal_for, mean_score


@dataclass(frozen=True, kw_only=True)
class Closeness:
    """Measure how near each predicted number lies to its target: 1 - min(1, |error| / standard deviation of the targets).

    1 is exact, 0 a whole standard deviation off or more. One number in [0, 1] a row, so that the margins of a verification hold for it:
    a margin of 0.05 is a mean error of 0.05 standard deviations. Always predicting the mean of Gaussian targets scores 0.37.

    Source: none, an absolute error cut off at one standard deviation. Reads the one pass.
    """

    about = About(
        needs=("scores", "numbers"),
        modalities=("tabular",),
        claim="On memorised forget rows it is near 1 for the target and that of test rows for a retrained model.",
        paper="Deep Regression Unlearning",
        link="https://arxiv.org/abs/2210.08196",
        year=2023,
        paper_id="P014",
        stochastic=False,
        differs=("The paper reports mean errors, which no margin in [0, 1] fits.",),
        cost="arithmetic on the one pass",
    )

    def run(self, evidence: Evidence) -> Mapping[str, Score]:
        """Return the mean a split."""
        return {
            split: mean_score(
                "closeness",
                lambda split=split: _closeness(evidence, split),  # type: ignore[misc]
                rows.groups,
                ideal=ideal_for(split),
            )
            for split, rows in evidence.rows.items()
        }


def _closeness(evidence: Evidence, split: str) -> FloatArray:
    return 1 - np.minimum(1.0, own_scores(evidence, split).errors())
