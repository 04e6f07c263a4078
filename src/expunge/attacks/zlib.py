"""Membership by loss against compressed length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.contract.units import Probe
from expunge.engine.membership import member_outcome
from expunge.engine.readings import own_scores
from expunge.facts.record import Outcome
from expunge.facts.rows import Row
from expunge.statistics import member


@dataclass(frozen=True, kw_only=True)
class Zlib:
    """Divide the log-probability of an answer by the length that zlib compresses it to.

    Repetitive text is likely under any model; its compressed length says how much of the loss was to be expected.
    score = mean log p a token / bytes of zlib(answer).

    Source: Carlini et al. 2021. Differs: see `differs`. Reads the one pass. Cost: arithmetic on it.
    """

    about = About(
        needs=("forget", "holdout", "scores"),
        modalities=("text",),
        claim="It tells members apart where texts differ much in how repetitive they are, and the loss does not.",
        paper="Extracting Training Data from Large Language Models",
        link="https://arxiv.org/abs/2012.07805",
        year=2021,
        stochastic=False,
        differs=("The mean log-probability a token is divided, as in both public codes; the paper divides the total.",),
        battery="quick",
        cost="arithmetic on the one pass, and microseconds a row of compression",
    )

    def run(self, evidence: Evidence, probe: Probe) -> Outcome:
        """Return a member score a row."""

        def texts(rows: Sequence[Row]) -> list[str]:
            return [str(row["answer"]) for row in rows]

        return member_outcome(
            "zlib", evidence, lambda split: member.zlib(own_scores(evidence, split), texts(evidence.rows[split]))
        )
