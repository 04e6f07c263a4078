"""Membership scores against the truth: who was in training how often."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.engine.readings import own_scores
from expunge.facts.errors import InputError, UndeclaredRead
from expunge.facts.score import Score, unscored
from expunge.statistics.auc import auc, auc_bounds
from expunge.statistics.clusters import FloatArray
from expunge.statistics.member import loss, min_k, min_k_plus_plus
from expunge.statistics.position_scores import PositionScores

SCORES: Mapping[str, Callable[[PositionScores], FloatArray]] = {
    "loss": loss,
    "min_k": min_k,
    "min_k_plus_plus": min_k_plus_plus,
}


@dataclass(frozen=True, kw_only=True)
class HubbleMembership:
    """Measure how well each membership score tells statements in training from those of the same draw in none, by number of copies.

    The AUC of every `MANNER/xN` split against the holdout rows, `MANNER/xN/SCORE` for the scores loss, min_k and min_k_plus_plus: .5
    where nothing shows, with the interval of a two-sided 95%. Scores divided by a text's compressed length are left out: statements
    are of one length.

    Source: Wei et al. 2025 (Hubble). Reads the one pass.
    """

    about = About(
        needs=("scores", "holdout"),
        modalities=("text",),
        claim="Every score rises with the number of copies and is at chance for few of them.",
        paper="Hubble: a Model Suite to Advance the Study of LLM Memorization",
        link="https://arxiv.org/abs/2510.19811",
        year=2025,
        paper_id="P176",
        stochastic=False,
        differs=("AUC with an interval for every number of copies; non-members are of the same draw by construction.",),
        battery="named",
        cost="arithmetic on the one pass",
    )

    def run(self, evidence: Evidence) -> Mapping[str, Score]:
        """Return the AUC of every split of inserted statements, a score each."""
        return {
            f"{split}/{name}": _auc(evidence, split, name, score)
            for split in evidence.rows
            if split.rpartition("/")[2].removeprefix("x").isdigit()
            for name, score in SCORES.items()
        }


def _auc(evidence: Evidence, split: str, name: str, score: Callable[[PositionScores], FloatArray]) -> Score:
    title, n = f"AUC of {name}", len(evidence.rows[split])
    try:
        members, others = (score(own_scores(evidence, one)) for one in (split, "holdout"))
        bounds = auc_bounds(members, others, alpha=0.025)
    except (InputError, UndeclaredRead) as error:
        return unscored(title, error.what, n=n, ideal="as_control")
    return Score(name=title, value=auc(members, others), low=bounds.low, high=bounds.high, n=n, ideal="as_control")
