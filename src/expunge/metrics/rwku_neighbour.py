"""RWKU's neighbour score: what was kept of those next to whom it was about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.engine.readings import said
from expunge.facts.score import Score
from expunge.statistics.clusters import FloatArray
from expunge.statistics.rwku import by_probe, recalls
from expunge.statistics.summary import JUDGED_BY_CONTROL, mean_score

NAME = "RWKU neighbour score (rougeL recall)"


@dataclass(frozen=True, kw_only=True)
class RwkuNeighbour:
    """Measure how much of the right answer is still said about those who must stay and stand next to what must go.

    The mean ROUGE-L recall of the greedy answer over rows with a `level`, of every set that is neither to be forgotten nor held out:
    `neighbour/level_1` fill-in-the-blank, `neighbour/level_2` questions, `neighbour` both. A set `distant` of people who have nothing to do
    with the forgotten, where there is one, says what of a fall is due to nearness.

    Source: Jin et al. 2024 (RWKU). Differs: see `differs`. Reads generations. Cost: microseconds a row.
    """

    about = About(
        needs=("generations",),
        modalities=("text",),
        claim="Neighbours of what is forgotten are answered worse after unlearning than before, and worse than those far from it.",
        paper="RWKU: Benchmarking Real-World Knowledge Unlearning for Large Language Models",
        link="https://arxiv.org/abs/2406.10890",
        year=2024,
        paper_id="P022",
        stochastic=False,
        differs=(
            "With intervals, and with people far from the forgotten ones beside them.",
            "In a model of 0.5M parameters neighbours were not shown to lose more than distant people (three draws).",
        ),
        battery="full",
        row_fields=("probe",),
        cost="one greedy generation a row, made once for all units",
    )

    def run(self, evidence: Evidence) -> Mapping[str, Score]:
        """Return the means of each such set; none where no row beside the forgotten is a probe with a level."""
        found = {}
        for split, rows in evidence.rows.items():
            if split.partition("/")[0] in JUDGED_BY_CONTROL:
                continue
            every = [i for i, row in enumerate(rows) if row.get("level")]
            levels = {part: chosen for part, chosen in by_probe(rows).items() if part.startswith("level_")}
            for part, chosen in ({"": every, **levels} if every else {}).items():
                found[f"{split}/{part}" if part else split] = mean_score(
                    f"{NAME}, {part.replace('_', ' ')}" if part else NAME,
                    partial(_recalls, evidence, split, chosen),
                    rows.take(chosen).groups,
                    ideal="higher",
                    keep=len(chosen) == len(rows),
                )
        return found


def _recalls(evidence: Evidence, split: str, chosen: list[int]) -> FloatArray:
    return recalls(evidence.rows[split], said(evidence, split), chosen)
