"""Membership by the least likely tokens, each against its own vocabulary."""

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
class MinKPlusPlus:
    """Standardise each token's log-probability by the model's own distribution there, and average the lowest.

    z_t = (log p(x_t) - mean_t) / sd_t over the vocabulary: a token counts as unlikely where the model expected better. Training on a
    text makes its tokens local maxima of the distribution.

    Source: Zhang et al. 2025. Reads the one pass. Cost: arithmetic on it.
    """

    about = About(
        needs=("forget", "holdout", "scores"),
        modalities=("text",),
        claim="It tells members better than min-k does; at low false positive rates it may lose.",
        paper="Min-K%++: Improved Baseline for Detecting Pre-Training Data from Large Language Models",
        link="https://arxiv.org/abs/2404.02936",
        year=2025,
        stochastic=False,
        differs=("The variance is raised to 1e-6, as in the standard framework: a model that is certain has none.",),
        battery="quick",
        cost="arithmetic on the one pass",
    )

    k: float = 0.2
    """Share of the tokens that count: the least likely ones (at least one)."""

    def __post_init__(self) -> None:
        if not 0 < self.k <= 1:
            raise ValueError(f"k must be a share of the tokens in (0, 1], not {self.k}")

    def run(self, evidence: Evidence, probe: Probe) -> Outcome:
        """Return a member score a row."""
        return member_outcome(
            "min_k_plus_plus", evidence, lambda split: member.min_k_plus_plus(own_scores(evidence, split), k=self.k)
        )
