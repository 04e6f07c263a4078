"""Membership by the entropy of the prediction."""

from __future__ import annotations

from dataclasses import dataclass

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.contract.units import Probe
from expunge.engine.distributions import log_probs
from expunge.engine.membership import member_outcome
from expunge.facts.record import Outcome
from expunge.statistics import class_membership


@dataclass(frozen=True, kw_only=True)
class Entropy:
    """Take a sure prediction as a sign of membership, right or wrong.

    score = sum_c p_c log p_c. It needs no label, and so misses a member that the model gets wrong; the confidence p(label) ranks rows as
    the attack `loss` does.

    Source: Salem et al. 2019 (its third, label-free adversary). Reads predictions.
    """

    about = About(
        needs=("forget", "logits", "holdout", "predictions"),
        modalities=("vision", "tabular"),
        claim="It tells the target's forget rows from holdout rows, and those of a retrained model no better than chance.",
        paper="ML-Leaks: Model and Data Independent Membership Inference Attacks and Defenses on Machine Learning Models",
        link="https://arxiv.org/abs/1806.01246",
        year=2019,
        stochastic=False,
        differs=(
            "Read without a threshold. On digits with wrong labels it hardly holds: AUC .535 for the target, .505 for retrained.",
        ),
        battery="full",
        cost="arithmetic on predictions",
    )

    def run(self, evidence: Evidence, probe: Probe) -> Outcome:
        """Return a member score a row."""
        return member_outcome("entropy", evidence, lambda split: -class_membership.entropy(log_probs(evidence, split)))
