"""LUME's membership score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.engine.lume import completion_likelihood
from expunge.facts.errors import InputError, UndeclaredRead
from expunge.facts.score import Score, unscored
from expunge.statistics.auc import auc_bounds
from expunge.statistics.lume import membership_interval, membership_score
from expunge.statistics.summary import clusters_of


@dataclass(frozen=True, kw_only=True)
class LumeMembership:
    """Measure how well the loss of a document tells whether it was trained on.

    1 - 2 |AUC - 1/2|, AUC of minus the loss of forget against holdout completions: 1 where members cannot be told, 0 where all can, be it
    because they are still known or because they are less likely than what nobody saw. `forget/auc` is the AUC by itself, and says which.
    The AUC of a retrained model is 1/2 by chance only: with few documents its score lies well below 1, and another model may pass it.

    Source: Ramakrishna et al. 2025 (SemEval-2025 Task 4). Differs: see `differs`. Reads the one pass.
    """

    about = About(
        needs=("forget", "holdout", "scores"),
        modalities=("text",),
        claim="Gradient ascent and its kin overshoot: the AUC ends below 1/2, and the score near 0 although the documents are gone.",
        paper="SemEval-2025 Task 4: Unlearning sensitive content from Large Language Models",
        link="https://arxiv.org/abs/2504.02883",
        year=2025,
        stochastic=False,
        differs=(
            "Over forget and holdout completions: the organisers' member and non-member documents do not come with the data.",
            "Over the tokens of the answer, not of the whole document.",
            "With an interval (DeLong's of the AUC, documents as units).",
        ),
        battery="full",
        row_fields=("subtask", "kind"),
        cost="arithmetic on the one pass",
    )

    def run(self, evidence: Evidence) -> Mapping[str, Score]:
        """Return the score and the AUC it is made from."""
        name, n = "LUME membership score", len(evidence.rows.get("forget", ()))
        try:
            members, groups = completion_likelihood(evidence, "forget")
            others, other_groups = completion_likelihood(evidence, "holdout")
            clusters, other_clusters = clusters_of(groups), clusters_of(other_groups)
            bounds = auc_bounds(members, others, clusters, other_clusters, alpha=0.025)
        except (InputError, UndeclaredRead) as error:
            return {"forget": unscored(name, error.what, n=n, ideal="as_control")}
        low, high = membership_interval(bounds.low, bounds.high)
        value, n = float(membership_score(bounds.estimate)), len(members)
        area = {"value": bounds.estimate, "low": max(bounds.low, 0.0), "high": min(bounds.high, 1.0)}
        return {
            "forget": Score(name=name, value=value, low=low, high=high, n=n, ideal="as_control"),
            "forget/auc": Score(name="AUC (loss)", n=n, ideal="as_control", **area),
        }
