"""Two membership attacks on a classifier, for the claims of methods that name one."""

from __future__ import annotations

from statistics import fmean
from typing import NamedTuple

from expunge.contract.evidence import Evidence
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.predict import predict
from expunge.engine.score import score
from expunge.engine.told_apart import called_non_member
from expunge.statistics.auc import auc


class Membership(NamedTuple):
    """What an attack makes of the forget rows: the retrained models' values are the aim, not the lowest or the highest."""

    efficacy: float
    """Share of the forget rows, in percent, that an SVC on p(label) calls non-members (`mia_efficacy`)."""
    area: float
    """AUC of the loss, forget rows against holdout rows; 50 is chance, in percent."""

    def gap(self, others: Membership) -> Membership:
        """Absolute differences, in points."""
        return Membership(*(abs(one - other) for one, other in zip(self, others, strict=True)))


def membership(model: Model, splits: Splits) -> Membership:
    """Both attacks on a model."""
    rows = splits.rows
    given = {name: rows[name] for name in ("forget", "retain", "test")}
    predicted = {name: predict(model, each, job=Job()) for name, each in given.items()}
    one = Evidence(name="attacked", role="unlearned", modality=model.modality, rows=given, predictions=predicted)
    losses = [score(model, rows[name], job=Job()).mean_log_prob() for name in ("forget", "holdout")]
    return Membership(100 * float(called_non_member(one).mean()), 100 * auc(*losses))


def mean_membership(models: tuple[Model, ...], splits: Splits) -> Membership:
    """Mean over models."""
    found = [membership(model, splits) for model in models]
    return Membership(*(fmean(values) for values in zip(*found, strict=True)))
