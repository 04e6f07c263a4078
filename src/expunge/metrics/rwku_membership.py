"""RWKU's four membership scores of what must go, beside those of what must stay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.engine.readings import own_scores
from expunge.facts.errors import InputError
from expunge.facts.score import Score
from expunge.statistics import member
from expunge.statistics.clusters import FloatArray
from expunge.statistics.summary import ideal_for, mean_score

SETS = ("forget", "retain")
SCORES = ("loss", "zlib", "min_k", "min_k_plus_plus")


@dataclass(frozen=True, kw_only=True)
class RwkuMembership:
    """Measure how much the forget rows still look trained on, beside retain rows that do: four member scores a set.

    Higher is more likely a member, as in RWKU's code.
    `forget/loss` = mean log p a token (minus RWKU's LOSS), `forget/zlib` the same over the bytes that zlib makes of the answer,
    `forget/min_k` and `forget/min_k_plus_plus` over the least likely tokens; `retain/...` likewise. Both sets were trained on: the numbers
    should part after unlearning. What tells a forget row from one that nobody trained on are the attacks of the same names.

    Source: Jin et al. 2024 (RWKU). Differs: see `differs`. Reads the one pass.
    """

    about = About(
        needs=("forget", "retain", "scores"),
        modalities=("text",),
        claim="After unlearning the member scores of forget rows fall and those of retain rows stay.",
        paper="RWKU: Benchmarking Real-World Knowledge Unlearning for Large Language Models",
        link="https://arxiv.org/abs/2406.10890",
        year=2024,
        paper_id="P022",
        stochastic=False,
        differs=(
            "Over the tokens of the answer, and min-k over one of them at least: RWKU's code takes the mean of no token, NaN, of a text of "
            "fewer than 1 / k, and calls the mean min-k++ score mink20.",
            "With an interval.",
        ),
        battery="full",
        row_fields=("probe",),
        cost="arithmetic on the one pass",
    )

    k: float = 0.2
    """Share of the tokens that count in min_k and min_k_plus_plus: the least likely ones."""

    def __post_init__(self) -> None:
        if not 0 < self.k <= 1:
            raise ValueError(f"k must be a share of the tokens in (0, 1], not {self.k}")

    def run(self, evidence: Evidence) -> Mapping[str, Score]:
        """Return four scores of the forget rows and four of the retain rows."""
        return {
            f"{split}/{name}": mean_score(
                f"RWKU member score, {name.replace('_', ' ')}",
                partial(self._values, evidence, split, name),
                evidence.rows[split].groups if split in evidence.rows else (),
                ideal=ideal_for(split),
            )
            for split in SETS
            for name in SCORES
        }

    def _values(self, evidence: Evidence, split: str, name: str) -> FloatArray:
        if split not in evidence.rows:
            raise InputError(f"there are no {split} rows")
        scores = own_scores(evidence, split)
        if name == "loss":
            return member.loss(scores)
        if name == "zlib":
            return member.zlib(scores, [str(row["answer"]) for row in evidence.rows[split]])
        return (member.min_k if name == "min_k" else member.min_k_plus_plus)(scores, k=self.k)
