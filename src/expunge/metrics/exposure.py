"""How far statements inserted a known number of times stand out from others like them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.engine.readings import named_answers
from expunge.facts.score import Score
from expunge.statistics.clusters import FloatArray
from expunge.statistics.memorisation import exposure
from expunge.statistics.summary import mean_score


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """Measure, by the number of copies in training, how many bits an inserted statement stands out from wrong ones like it.

    exposure = log2(n + 1) - log2(rank of the right answer among the n wrong ones), by log-probability a token. Wrong answers are drawn like
    the right one, so that a model which never saw the statement ranks it anywhere: 1.3 bits in the mean at n = 31, where the most is 5.
    Read where every row of a split carries its `copies`: an insertion ledger. Statements are told apart by the `side` they are on.

    Source: Carlini et al. 2019. Differs: see `differs`. Reads the one pass.
    """

    about = About(
        needs=("scores",),
        modalities=("text",),
        claim="It rises with the number of copies in training, and lies at chance for statements in no copy or never trained on.",
        paper="The Secret Sharer: Evaluating and Testing Unintended Memorization in Neural Networks",
        link="https://arxiv.org/abs/1802.08232",
        year=2019,
        stochastic=False,
        differs=("The rank is among sampled wrong answers; the paper also extrapolates beyond the sample.",),
        cost="arithmetic on the one pass, and the wrong answers in it",
    )

    def run(self, evidence: Evidence) -> Mapping[str, Score]:
        """Return the mean by split, side and number of copies; nothing where there is no insertion ledger."""
        found = {}
        for split, rows in evidence.rows.items():
            if not len(rows) or any(row.get("copies") is None for row in rows):
                continue
            labels = [f"{row.get('side') or ''} x{row['copies']}".strip() for row in rows]
            for label in dict.fromkeys(labels):
                chosen = [i for i, one in enumerate(labels) if one == label]
                found[f"{split}/{label}"] = mean_score(
                    "exposure",
                    lambda split=split, chosen=chosen: _bits(evidence, split)[chosen],  # type: ignore[misc]
                    rows.take(chosen).groups,
                    ideal="higher" if rows[chosen[0]].get("side") == "retain" else "as_control",
                    keep=False,
                )
        return found


def _bits(evidence: Evidence, split: str) -> FloatArray:
    answers = named_answers(evidence, split)
    return exposure(answers.own, answers.wrong)
