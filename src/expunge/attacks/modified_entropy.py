"""Membership by the modified entropy of the prediction."""

from __future__ import annotations

from dataclasses import dataclass

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.contract.units import Probe
from expunge.engine.distributions import labels, log_probs
from expunge.engine.membership import member_outcome
from expunge.facts.record import Outcome
from expunge.statistics import class_membership


@dataclass(frozen=True, kw_only=True)
class ModifiedEntropy:
    """Take a prediction that is sure and right as a sign of membership.

    The entropy is as low for a sure and wrong prediction; this is not. score = -Mentr,
    Mentr = -(1 - p_y) log p_y - sum_{c != y} p_c log(1 - p_c).

    Source: Song and Mittal 2021. Differs: see `differs`. Reads predictions.
    """

    about = About(
        needs=("forget", "logits", "holdout", "predictions"),
        modalities=("vision", "tabular"),
        claim="It tells the target's forget rows from holdout rows better than the entropy, and a retrained model's no better than chance.",
        paper="Systematic Evaluation of Privacy Risks of Machine Learning Models",
        link="https://arxiv.org/abs/2003.10595",
        year=2021,
        stochastic=False,
        differs=(
            "On digits with wrong labels: AUC .60 to .64 for the target, .50 for retrained models; on a class, chance for both.",
            "One threshold for all classes: the score is ranked, not cut; the paper sets a threshold a class.",
            "Unlearn-Sparse and its copies take log p for log(1 - p), and all rows' labels for each row's own; this does not.",
        ),
        battery="full",
        cost="arithmetic on predictions",
    )

    def run(self, evidence: Evidence, probe: Probe) -> Outcome:
        """Return a member score a row."""
        return member_outcome(
            "modified_entropy",
            evidence,
            lambda split: -class_membership.modified_entropy(log_probs(evidence, split), labels(evidence, split)),
        )
