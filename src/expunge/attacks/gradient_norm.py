"""Membership by the norm of the gradient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.contract.units import Probe
from expunge.engine.membership import member_outcome
from expunge.facts.errors import InputError
from expunge.facts.record import Outcome
from expunge.statistics.clusters import FloatArray


@dataclass(frozen=True, kw_only=True)
class GradientNorm:
    """Take a small gradient of a row's loss as a sign of membership.

    Training ends where the gradients of what it saw are small. score = -|d mean loss / d parameters|, one gradient a row.

    Source: Wang et al. 2024. Reads gradient norms. Cost: one forward and backward over forget and holdout rows, vectorised.
    """

    about = About(
        needs=("forget", "holdout", "gradients"),
        modalities=("text", "vision", "tabular", "diffusion"),
        claim="It tells the target's forget rows from holdout rows, and those of a retrained model no better than chance.",
        paper="Pandora's White-Box: Precise Training Data Detection and Extraction in Large Language Models",
        link="https://arxiv.org/abs/2402.17012",
        year=2024,
        stochastic=False,
        cost="1 forward + 1 backward over forget and holdout rows",
    )

    def run(self, evidence: Evidence, probe: Probe) -> Outcome:
        """Return a member score a row."""

        def scores_of(split: str) -> FloatArray:
            if split not in evidence.gradient_norms:
                raise InputError(f"no gradient norms of {split!r} were computed")
            return -np.asarray(evidence.gradient_norms[split], np.float64)

        return member_outcome("gradient_norm", evidence, scores_of)
