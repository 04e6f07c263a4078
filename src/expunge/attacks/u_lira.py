"""Likelihood ratio attack on unlearned models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.contract.units import Probe
from expunge.engine.membership import member_outcome
from expunge.engine.readings import own_scores
from expunge.facts.errors import InputError
from expunge.facts.record import Outcome
from expunge.statistics import member
from expunge.statistics.clusters import FloatArray

HISTORIES = ("trained_then_unlearned", "retrained")


@dataclass(frozen=True, kw_only=True)
class ULira:
    """Ask, row by row, whether the model looks as if it had been trained on the row and then unlearned it, or never saw it.

    An attack on the whole population asks whether a forget row looks like an average member, and misses what unlearning left of it.
    score = log N(phi | trained, then unlearned) - log N(phi | retrained), Gaussians a row over shadow models of the two histories,
    phi = log(p / (1 - p)), p the geometric mean a token for text.
    `shadows["trained_then_unlearned"]` were trained on retain, forget and holdout rows and then unlearned the latter two by
    the method under test; `shadows["retrained"]` saw neither. Both score every forget and holdout row.

    Source: Hayes et al. 2024. Differs: see `differs`. Reads the one pass of the model and of the shadow models.
    """

    about = About(
        needs=("forget", "holdout", "scores", "shadows"),
        modalities=("text", "vision", "tabular"),
        claim="It finds forget rows of unlearned models that population attacks call forgotten.",
        paper="Inexact Unlearning Needs More Careful Evaluations to Avoid a False Sense of Privacy",
        link="https://arxiv.org/abs/2403.01218",
        year=2024,
        stochastic=False,
        differs=(
            "Every shadow pair covers all rows, so that no mask of memberships is needed: shadow models unlearn forget and holdout rows, "
            "1.3 to 3 times the request. What that does to methods whose strength follows the request's size was not measured.",
            "Below 64 models a side one variance is pooled over rows.",
            "On digits, a fifth with wrong labels, it finds what undial (AUC .70; the loss .53), simnpo (.65; .56) and random_label "
            "(.66; .55) left; of retrained models .50 to .51 (five seeds).",
        ),
        battery="full",
        cost="arithmetic; the shadow models are pipeline's: a training and an unlearning each, and a retraining each",
    )

    def run(self, evidence: Evidence, probe: Probe) -> Outcome:
        """Return a member score a row; unscored without shadow models of both histories."""

        def table(history: str, split: str) -> FloatArray:
            shadows = evidence.shadows.get(history, ())
            if len(shadows) < 2:
                raise InputError(
                    f"{len(shadows)} shadow models {history.replace('_', ' ')}, and at least 2 are needed; "
                    "a plan's verify.shadows = N trains them"
                )
            return np.array([_phi(shadow, split) for shadow in shadows])

        def scores_of(split: str) -> FloatArray:
            unlearned, retrained = (table(history, split) for history in HISTORIES)
            return member.u_lira(_phi(evidence, split), unlearned, retrained)

        return member_outcome("u_lira", evidence, scores_of)


def _phi(evidence: Evidence, split: str) -> FloatArray:
    return member.logit(own_scores(evidence, split).mean_log_prob())
