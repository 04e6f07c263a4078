"""Likelihood ratio attack with shadow models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.contract.units import Probe
from expunge.engine.membership import halves_of, member_outcome
from expunge.engine.readings import own_scores
from expunge.facts.errors import InputError
from expunge.facts.record import Outcome
from expunge.statistics import member
from expunge.statistics.clusters import FloatArray


@dataclass(frozen=True, kw_only=True)
class Lira:
    """Ask whether a row's confidence is more like that of models trained on it or like that of models that were not.

    phi = log(p / (1 - p)), p the probability of the label (text: the geometric mean a token); score = log N(phi | in) - log N(phi | out),
    Gaussians a row from the shadow models, their variance pooled over rows below 64 models a side.
    Shadow models are `shadows["halves"]`: each trained on retain rows and on half of forget and holdout rows, those its own `members` rows.

    Source: Carlini et al. 2022. Differs: see `differs`. Reads the one pass of the model and of the shadow models.
    """

    about = About(
        needs=("forget", "holdout", "scores", "shadows"),
        modalities=("text", "vision", "tabular"),
        claim="At low false positive rates it finds several times more members of the target than the loss does.",
        paper="Membership Inference Attacks From First Principles",
        link="https://arxiv.org/abs/2112.03570",
        year=2022,
        stochastic=False,
        differs=(
            "For text phi is taken of the geometric mean probability a token, for a predicted number of exp(-z^2 / 2), z its error in "
            "standard deviations of the targets; the paper attacks classifiers.",
            "Offline the tail is taken as -log Pr, which ranks alike: in floats 1 - Pr is 1 for the surest rows, and they tie.",
            "On digits of which a fifth bear wrong labels it finds .20 of the members at 1% false positives with 32 shadow models, the "
            "loss .01 (five seeds; AUC .77 and .59, of retrained models .50); on digits as they are .06 and none.",
        ),
        battery="full",
        cost="arithmetic; the shadow models are pipeline's and cost a training run each",
    )

    offline: bool = False
    """One-sided, -log Pr[N(out) > phi], with the retrained models as shadows: none of them saw a forget or a holdout row."""

    def run(self, evidence: Evidence, probe: Probe) -> Outcome:
        """Return a member score a row; unscored without shadow models."""
        return member_outcome("lira", evidence, lambda split: (_offline if self.offline else _online)(evidence, split))


def _phi(evidence: Evidence, split: str) -> FloatArray:
    return member.logit(own_scores(evidence, split).mean_log_prob())


def _offline(evidence: Evidence, split: str) -> FloatArray:
    if len(evidence.retrained) < 2:
        raise InputError(
            f"offline LiRA needs at least two retrained models, {evidence.name} has {len(evidence.retrained)}"
        )
    return member.lira_offline(_phi(evidence, split), np.array([_phi(other, split) for other in evidence.retrained]))


def _online(evidence: Evidence, split: str) -> FloatArray:
    shadows, inside = halves_of(evidence, split)
    if not shadows:
        raise InputError(
            "there are no shadow models trained on halves of the forget and holdout rows; a plan's verify.shadows = N trains them"
        )
    return member.lira(_phi(evidence, split), np.array([_phi(shadow, split) for shadow in shadows]), inside)
