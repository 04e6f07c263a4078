"""Margin of each row's label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.engine.distributions import labels, log_probs
from expunge.facts.score import Score
from expunge.statistics.klom import margins
from expunge.statistics.summary import ideal_for, mean_score


@dataclass(frozen=True, kw_only=True)
class Margin:
    """Measure the log odds of each row's label, in nats.

    margin = log p(label) / (1 - p(label)). A probability of .999 and one of .9999 are the same; their margins are not. One model's margins
    are what KLoM compares over many models: the distribution of a row's margin over unlearned models with that over retrained ones, which
    stands in a benchmark's table (`expunge bench NAME --also klom`), for a number over models is no number of one.

    Source: Georgiev et al. 2024. Reads predictions.
    """

    about = About(
        needs=("logits", "predictions"),
        modalities=("vision", "tabular"),
        claim="Over many models a forget row's margins lie apart between targets and retrained models, and together for retrained ones.",
        paper="Attribute-to-Delete: Machine Unlearning via Datamodel Matching",
        link="https://arxiv.org/abs/2410.23232",
        year=2024,
        paper_id="P115",
        stochastic=False,
        battery="full",
        cost="arithmetic on predictions",
    )

    def run(self, evidence: Evidence) -> Mapping[str, Score]:
        """Return the mean a split, every row's margin with it."""
        return {
            split: mean_score(
                "margin",
                lambda split=split: margins(log_probs(evidence, split), labels(evidence, split)),  # type: ignore[misc]
                rows.groups,
                ideal=ideal_for(split),
            )
            for split, rows in evidence.rows.items()
        }
