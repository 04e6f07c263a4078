"""Membership by loss."""

from __future__ import annotations

from dataclasses import dataclass

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.contract.units import Probe
from expunge.engine.membership import member_outcome
from expunge.engine.readings import own_scores
from expunge.facts.record import Outcome
from expunge.statistics import member


@dataclass(frozen=True, kw_only=True)
class Loss:
    """Take a low loss as a sign of membership.

    Training lowers the loss of the rows it sees. score = mean log p a token (a classifier: log p(label)).

    Source: Yeom et al. 2018. Reads the one pass. Cost: arithmetic on it.
    """

    about = About(
        needs=("forget", "holdout", "scores"),
        modalities=("text", "vision", "tabular"),
        claim="It tells the target's forget rows from holdout rows, and those of a retrained model no better than chance.",
        paper="Privacy Risk in Machine Learning: Analyzing the Connection to Overfitting",
        link="https://arxiv.org/abs/1709.01604",
        year=2018,
        stochastic=False,
        battery="quick",
        cost="arithmetic on the one pass",
    )

    def run(self, evidence: Evidence, probe: Probe) -> Outcome:
        """Return a member score a row."""
        return member_outcome("loss", evidence, lambda split: member.loss(own_scores(evidence, split)))
