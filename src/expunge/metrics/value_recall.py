"""Share of generations that hold the value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.engine.readings import said
from expunge.facts.score import Score
from expunge.statistics.answers import contains_value
from expunge.statistics.clusters import FloatArray
from expunge.statistics.summary import ideal_for, mean_score


@dataclass(frozen=True, kw_only=True)
class ValueRecall:
    """Measure the share of rows whose `value` (the short string that must not come back) is in the model's greedy answer.

    Answers of one template overlap in most words, so that ROUGE stays high after a perfect removal; the value does not.
    Whole words, whatever their case. Rows without a value are left out, and then no number a row is kept.

    Source: Carlini et al. 2019. Differs: see `differs`. Reads generations.
    """

    about = About(
        needs=("generations", "values"),
        modalities=("text",),
        claim="It is near 1 for the target on forget rows and near the chance of guessing a value for the retrained model.",
        paper="The Secret Sharer: Evaluating and Testing Unintended Memorization in Neural Networks",
        link="https://arxiv.org/abs/1802.08232",
        year=2019,
        stochastic=False,
        differs=("Greedy extraction in place of the paper's rank among all possible secrets.",),
        cost="one greedy generation a row, made once for all units",
    )

    def run(self, evidence: Evidence) -> Mapping[str, Score]:
        """Return the share a split that has rows with a value; forget rows are always answered for."""
        found = {}
        for split, rows in evidence.rows.items():
            chosen = [i for i, row in enumerate(rows) if row.get("value") not in (None, "")]
            if not chosen and split != "forget":
                continue

            def one(split: str = split, chosen: list[int] = chosen) -> FloatArray:
                texts = said(evidence, split)
                return np.array(
                    [contains_value(texts[i], str(evidence.rows[split][i]["value"])) for i in chosen], float
                )

            groups = rows.take(chosen).groups
            complete = len(chosen) == len(rows)
            found[split] = mean_score("value recall", one, groups, ideal=ideal_for(split), keep=complete)
        return found
