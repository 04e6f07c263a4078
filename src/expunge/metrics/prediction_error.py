"""Mean absolute error of predicted numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.engine.readings import errors_in_numbers
from expunge.facts.score import Score
from expunge.statistics.clusters import FloatArray
from expunge.statistics.summary import ideal_for, mean_score


@dataclass(frozen=True, kw_only=True)
class PredictionError:
    """Measure how far predicted numbers lie from the rows' targets, on the scale of the rows: mean |prediction - target|.

    On forget rows neither low nor high is good: `split/retrained` has the mean of the retrained models beside it, which is what to
    come near to (for a retrained model, that of the others).

    Source: Tarun et al. 2023. Reads predictions of the model and of the retrained ones.
    """

    about = About(
        needs=("predictions", "numbers"),
        modalities=("tabular",),
        claim="On memorised forget rows the target's lies far below the retrained models', and theirs near that of test rows.",
        paper="Deep Regression Unlearning",
        link="https://arxiv.org/abs/2210.08196",
        year=2023,
        paper_id="P014",
        stochastic=False,
        cost="one forward a row, made once for all units",
    )

    def run(self, evidence: Evidence) -> Mapping[str, Score]:
        """Return the mean absolute error a split, and that of the retrained models where there are any."""
        found = {}
        for split, rows in evidence.rows.items():

            def own(split: str = split) -> FloatArray:
                return errors_in_numbers(evidence, split)

            def others(split: str = split) -> FloatArray:
                return np.asarray(np.mean([errors_in_numbers(one, split) for one in evidence.retrained], axis=0))

            found[split] = mean_score("mean absolute error", own, rows.groups, ideal=ideal_for(split, "lower"))
            if evidence.retrained:
                found[f"{split}/retrained"] = mean_score(
                    "mean absolute error of retrained models", others, rows.groups, ideal="none", keep=False
                )
        return found
