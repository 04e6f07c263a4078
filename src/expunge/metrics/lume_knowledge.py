"""LUME's knowledge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.engine.lume import part_scores
from expunge.facts.score import Score
from expunge.statistics.lume import QUESTION


@dataclass(frozen=True, kw_only=True)
class LumeKnowledge:
    """Measure the share of questions whose greedy answer is, but for case and outer spaces, the right one.

    Over rows whose `kind` is question: of a split, and of each task in it (`SPLIT/TASK`). On `test` rows, which every model was trained on
    and no method was given, it is utility. Nothing but the exact answer counts: a full stop more, or the answer in a sentence, is
    a miss, so that a change of manner reads as forgetting; and an e-mail address that is made from the name may be guessed.

    Source: Ramakrishna et al. 2025 (LUME). Differs: see `differs`. Reads generations. Cost: nothing.
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
            "With an interval, documents and people resampled whole.",
            "Prompts stand in the model's own template; the published evaluation gives the bare text.",
        ),
        battery="full",
        row_fields=("subtask", "kind"),
        cost="one greedy generation a row, made once for all units",
    )

    def run(self, evidence: Evidence) -> Mapping[str, Score]:
        """Return the share of each split that has questions, and of its tasks; forget rows are always answered for."""
        return part_scores(evidence, QUESTION, "LUME knowledge (exact match)")
