"""Expected calibration error of a classifier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.engine.readings import own_scores
from expunge.facts.errors import InputError, UndeclaredRead
from expunge.facts.score import Score, unscored
from expunge.statistics.calibration import bin_gaps
from expunge.statistics.clusters import FloatArray
from expunge.statistics.summary import ideal_for, percentiles, resampled_means


@dataclass(frozen=True, kw_only=True)
class CalibrationError:
    """Measure how far a classifier's confidence lies from its accuracy.

    Rows fall into equal bins of confidence (the probability of the first choice): sum_b (n_b / n) |accuracy_b - mean confidence_b|.
    With few rows a bin it is above 0 for a perfectly calibrated model too: compare with the control's. On a forgotten class it is the
    retrained models that read high (digits .78 to .81; random_label .27 to .31, do nothing .02), since they are sure of another class.

    Source: Naeini et al. 2015; Guo et al. 2017. Reads the one pass.
    """

    about = About(
        needs=("scores", "logits"),
        modalities=("vision", "tabular"),
        claim="Relabelling methods raise it on test rows above the retrained model's while accuracy stays.",
        paper="On Calibration of Modern Neural Networks",
        link="https://arxiv.org/abs/1706.04599",
        year=2017,
        stochastic=False,
        cost="arithmetic on the one pass",
    )

    bins: int = 15
    """Bins of equal width."""

    def __post_init__(self) -> None:
        if self.bins < 1:
            raise ValueError("bins must be at least 1")

    def run(self, evidence: Evidence) -> Mapping[str, Score]:
        """Return the error a split."""
        return {split: self._score(evidence, split) for split in evidence.rows}

    def _score(self, evidence: Evidence, split: str) -> Score:
        ideal, rows = ideal_for(split, "lower"), evidence.rows[split]
        try:
            gaps = self._gaps(evidence, split)
        except (InputError, UndeclaredRead) as error:
            return unscored("expected calibration error", error.what, n=len(rows), ideal=ideal)
        low, high = percentiles(np.abs(resampled_means(gaps, rows.groups)).sum(1))
        value = float(np.abs(gaps.mean(1)).sum())
        low, high = (
            min(low, value),
            max(high, value),
        )  # resampling adds noise to every bin, and the sum of their sizes grows with it
        return Score(name="expected calibration error", value=value, low=low, high=high, n=len(rows), ideal=ideal)

    def _gaps(self, evidence: Evidence, split: str) -> FloatArray:
        own = own_scores(evidence, split)
        if own.top is None:
            raise InputError("the one pass kept no probability of the first choice")
        return bin_gaps(np.exp(own.top), (own.ranks() == 0).astype(np.float64), self.bins)
