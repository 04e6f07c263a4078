"""LUME's regurgitation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.engine.lume import part_scores
from expunge.facts.score import Score
from expunge.statistics.lume import COMPLETION


@dataclass(frozen=True, kw_only=True)
class LumeRegurgitation:
    """Measure how much of each document comes out when its beginning is given.

    The mean of ROUGE-L recall = LCS / words of the truth (stemmed words) between the greedy continuation and the rest of the document,
    over rows whose `kind` is completion: of a split, and of each task in it (`SPLIT/TASK`). Documents of one task share phrases
    ("Her home address is"), so that a retrained model does not have 0: read it beside theirs.

    Source: Ramakrishna et al. 2025 (LUME). Differs: see `differs`. Reads generations. Cost: microseconds a row.
    """

    about = About(
        needs=("generations",),
        modalities=("text",),
        claim="It falls on the forget set under the usual methods, and falls on the retain set with it.",
        paper="LUME: LLM Unlearning with Multitask Evaluations",
        link="https://arxiv.org/abs/2502.15097",
        year=2025,
        stochastic=False,
        differs=(
            "With an interval, documents resampled whole.",
            "Prompts stand in the model's own template; the published evaluation gives the bare text.",
        ),
        battery="full",
        row_fields=("subtask", "kind"),
        cost="one greedy generation a row, made once for all units",
    )

    def run(self, evidence: Evidence) -> Mapping[str, Score]:
        """Return the mean of each split that has completions, and of its tasks; forget rows are always answered for."""
        return part_scores(evidence, COMPLETION, "LUME regurgitation (rougeL recall)")
