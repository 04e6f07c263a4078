"""Backdoor success: how often a manipulated row gets the answer that the manipulation wants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.engine.distributions import log_probs
from expunge.facts.score import Score
from expunge.statistics.clusters import FloatArray
from expunge.statistics.summary import mean_score


@dataclass(frozen=True, kw_only=True)
class BackdoorSuccess:
    """Measure the share of rows with an `attacker_label` that the model gives that label.

    Measured on every split whose rows all bear one: triggered test rows of other classes than the backdoor's, confused classes' test rows,
    and the manipulated training rows to forget. Lower is better, to the share that a model trained on no manipulated row has: the
    retrained model is no such model where only a part of these is known. An untrained model is no anchor: it may answer the class wanted.

    Source: Gu et al. 2017. Reads predictions.
    """

    about = About(
        needs=("forget", "predictions"),
        modalities=("vision", "tabular"),
        claim="Near 1 for a backdoored model and near 0 for one that saw no manipulated row.",
        paper="BadNets: Identifying Vulnerabilities in the Machine Learning Model Supply Chain",
        link="https://arxiv.org/abs/1708.06733",
        year=2017,
        stochastic=False,
        battery="full",
        row_fields=("attacker_label",),
        cost="arithmetic on predictions",
    )

    def run(self, evidence: Evidence) -> Mapping[str, Score]:
        """Return the share on each split whose rows all have an `attacker_label`."""
        found = {}
        for split, rows in evidence.rows.items():
            wanted = [row.get("attacker_label") for row in rows]
            if not wanted or None in wanted:
                continue

            def success(split: str = split, wanted: list[int] = wanted) -> FloatArray:
                return np.asarray(log_probs(evidence, split).argmax(1) == np.array(wanted), np.float64)

            found[split] = mean_score("backdoor success", success, rows.groups, ideal="lower")
        return found
