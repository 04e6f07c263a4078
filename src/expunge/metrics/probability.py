"""Probability of the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.engine.readings import named_answers, own_scores
from expunge.facts.score import Score
from expunge.statistics.clusters import FloatArray
from expunge.statistics.summary import ideal_for, mean_score
from expunge.statistics.tofu import normalised_probability


@dataclass(frozen=True, kw_only=True)
class Probability:
    """Measure how likely the model finds each row's own answer.

    p = exp(mean over the answer's tokens of log p(token)), the end of the sequence among them; a classifier's p(label); of a
    predicted number the density of the target relative to the highest, exp(-z^2 / 2), z its error in standard deviations. Where
    every row carries wrong answers, `split/normalised` is p / (p + sum_j p_j), as TOFU takes it for real authors and world facts.

    Source: Maini et al. 2024. Reads the one pass. Cost: arithmetic on it.
    """

    about = About(
        needs=("scores",),
        modalities=("text", "vision", "tabular"),
        claim="On forget rows it is near 1 for the target, and near that of the retrained model after good unlearning.",
        paper="TOFU: A Task of Fictitious Unlearning for LLMs",
        link="https://arxiv.org/abs/2401.06121",
        year=2024,
        stochastic=False,
        cost="arithmetic on the one pass",
    )

    def run(self, evidence: Evidence) -> Mapping[str, Score]:
        """Return the mean a split, and the normalised mean where every row has wrong answers."""
        found = {}
        for split, rows in evidence.rows.items():
            ideal = ideal_for(split)
            found[split] = mean_score("probability", partial(_plain, evidence, split), rows.groups, ideal=ideal)
            if len(rows) and all(row.get("perturbed_answers") for row in rows):
                compute = partial(_normalised, evidence, split)
                found[f"{split}/normalised"] = mean_score("normalised probability", compute, rows.groups, ideal=ideal)
        return found


def _plain(evidence: Evidence, split: str) -> FloatArray:
    return np.exp(own_scores(evidence, split).mean_log_prob())


def _normalised(evidence: Evidence, split: str) -> FloatArray:
    return normalised_probability(named_answers(evidence, split))
