"""Membership by the least likely tokens."""

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
class MinK:
    """Take the mean log-probability of an answer's least likely tokens as the member score.

    Text never seen holds a few outliers of very low probability; text trained on does not.

    Source: Shi et al. 2024. Reads the one pass. Cost: arithmetic on it.
    """

    about = About(
        needs=("forget", "holdout", "scores"),
        modalities=("text",),
        claim="It tells members better than the loss of the whole text does.",
        paper="Detecting Pretraining Data from Large Language Models",
        link="https://arxiv.org/abs/2310.16789",
        year=2024,
        paper_id="P163",
        stochastic=False,
        battery="quick",
        differs=(
            "On short statements it told members no better than the loss: -.05 in one copy, .01 in four (AUC; three draws).",
        ),
        cost="arithmetic on the one pass",
    )

    k: float = 0.2
    """Share of the tokens that count: the least likely ones (at least one)."""

    def __post_init__(self) -> None:
        if not 0 < self.k <= 1:
            raise ValueError(f"k must be a share of the tokens in (0, 1], not {self.k}")

    def run(self, evidence: Evidence, probe: Probe) -> Outcome:
        """Return a member score a row."""
        return member_outcome("min_k", evidence, lambda split: member.min_k(own_scores(evidence, split), k=self.k))
