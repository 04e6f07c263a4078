"""A line from the features to the label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.contract.units import Probe
from expunge.engine.asking import success_outcome
from expunge.engine.penultimate import body_features, labels_of, read_with
from expunge.facts.errors import InputError
from expunge.facts.record import Outcome
from expunge.statistics.clusters import FloatArray, IntArray


@dataclass(frozen=True, kw_only=True)
class FeatureProbe:
    """Fit a linear classifier on the last block's features of other rows, and let it label those to forget.

    What a linear map reads from the frozen features is there, whatever the model's own head says. The probe is fitted on retain and
    holdout rows (logistic regression, classes balanced, features standardised). A row's success is the probability it gives to the row's
    label. It learns the label from its own rows, so that a retrained model's features give much of it as well: only
    what lies above the control is a leak.

    Source: Alain and Bengio 2017. Differs: see `differs`. Cost: one pass and a logistic regression.
    """

    about = About(
        needs=("forget", "logits", "retain", "holdout", "model", "features"),
        modalities=("vision", "tabular"),
        claim="From features of a model whose head alone forgot a class the probe reads it as from the target's, above a control's.",
        paper="Understanding intermediate layers using linear classifier probes",
        link="https://arxiv.org/abs/1610.01644",
        year=2017,
        stochastic=False,
        differs=("The last block alone, turned on unlearned models; `linear_probe` does this for language models.",),
        battery="full",
        cost="a pass over forget, holdout and retain rows, and a logistic regression",
    )

    strength: float = 1.0
    """Weight of the squared norm in the regression, on standardised features."""
    retain_rows: int = 2000
    """Retain rows to fit on, at most."""

    def __post_init__(self) -> None:
        if self.strength <= 0 or self.retain_rows < 1:
            raise ValueError("strength and retain_rows must be positive")

    def run(self, evidence: Evidence, probe: Probe) -> Outcome:
        """Return, a row, the probability that the probe gives to its label."""

        def attempt(split: str) -> FloatArray:
            rows, known = evidence.rows[split], read_with(evidence, probe, split, self.retain_rows)
            if len(set(labels_of(known))) < 2:
                raise InputError("retain and holdout rows have one label: there is nothing to tell apart")
            model = probe.model()
            taught, asked = (body_features(model, each, job=probe.job) for each in (known, rows))
            found, classes = self._probabilities(taught, labels_of(known), asked)
            return np.asarray(found[np.arange(len(rows)), np.searchsorted(classes, labels_of(rows))], np.float64)

        return success_outcome("feature_probe", evidence, attempt, with_items=False)

    def _probabilities(self, taught: FloatArray, labels: IntArray, asked: FloatArray) -> tuple[FloatArray, IntArray]:
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        line = LogisticRegression(C=1 / self.strength, class_weight="balanced", max_iter=300)
        probe = make_pipeline(StandardScaler(), line).fit(taught, labels)
        return np.asarray(probe.predict_proba(asked), np.float64), probe.classes_
