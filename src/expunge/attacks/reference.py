"""Membership by loss against that of a reference model."""

from __future__ import annotations

from dataclasses import dataclass

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.contract.units import Probe
from expunge.engine.membership import member_outcome
from expunge.engine.readings import own_scores
from expunge.facts.errors import InputError
from expunge.facts.record import Outcome
from expunge.statistics import member
from expunge.statistics.clusters import FloatArray


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Subtract the log-probability that a model which never saw the row gives it.

    What is likely anyway is likely under both. score = mean log p a token - the same under the reference model; pipeline takes a
    retrained model other than the one attacked.

    Source: Carlini et al. 2021. Reads the one pass of both models. Cost: arithmetic on it.
    """

    about = About(
        needs=("forget", "holdout", "scores", "retrained"),
        modalities=("text", "vision", "tabular"),
        claim="It tells members better than the loss alone, the more so the more rows differ in difficulty.",
        paper="Extracting Training Data from Large Language Models",
        link="https://arxiv.org/abs/2012.07805",
        year=2021,
        stochastic=False,
        cost="arithmetic on the one pass",
    )

    def run(self, evidence: Evidence, probe: Probe) -> Outcome:
        """Return a member score a row; unscored without a reference model."""

        def scores_of(split: str) -> FloatArray:
            if evidence.reference is None:
                raise InputError(f"{evidence.name} has no reference model that saw neither split")
            return member.reference(own_scores(evidence, split), own_scores(evidence.reference, split))

        return member_outcome("reference", evidence, scores_of)
