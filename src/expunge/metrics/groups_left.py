"""Whom the removal passed by: groups of which everything still comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.engine.readings import said
from expunge.facts.errors import InputError
from expunge.facts.score import Score, unscored
from expunge.statistics.answers import said_successes
from expunge.statistics.clusters import FloatArray
from expunge.statistics.summary import ideal_for, mean_score


@dataclass(frozen=True, kw_only=True)
class GroupsLeft:
    """Measure the share of groups (people, authors) all of whose rows still come out, and how much of one group does at most.

    A mean over rows hides a few people of whom nothing was removed: two whole ones in sixty add .03 to it, which lies within most
    margins. A row comes out where its `value` (or, without one, enough of its words) is in the greedy answer. `SPLIT` is the share of
    groups of at least `least` rows all of which come out; `SPLIT/most` the largest share of rows that come out of one such group,
    without an interval: read both beside the retrained models, which answer whole groups by luck only where groups are small.

    Source: none; the worst group of distributionally robust evaluation (Sagawa et al. 2020), for removals. Reads generations.
    """

    about = About(
        needs=("generations", "forget"),
        modalities=("text",),
        claim="It is 0 for retrained models, and counts the groups that a removal left as they were.",
        paper="Distributionally Robust Neural Networks for Group Shifts",
        link="https://arxiv.org/abs/1911.08731",
        year=2020,
        stochastic=False,
        differs=(
            "Measured with one and two of 60 people left as they were: 1/60 and 2/60, and 0 for six retrained models.",
            "The share of groups left whole, and the worst group, of a removal; the paper trains for the worst group's accuracy.",
        ),
        battery="full",
        row_fields=("group",),
        cost="one greedy generation a row, made once for all units",
    )

    least: int = 3
    """Rows that a group needs to count: a group of one or two comes out whole by luck."""
    threshold: float = 0.8
    """ROUGE-L recall from which an answer without a value counts as come out."""

    def __post_init__(self) -> None:
        if self.least < 1:
            raise ValueError(f"least must be at least 1, not {self.least}")

    def run(self, evidence: Evidence) -> Mapping[str, Score]:
        """Return both of the forget rows and, where they have groups, of the holdout rows."""
        found: dict[str, Score] = {}
        for split in ("forget", "holdout"):
            rows = evidence.rows.get(split)
            if split != "forget" and (rows is None or any(row.group is None for row in rows)):
                continue
            try:
                shares = self._shares(evidence, split)
            except InputError as error:
                found[split] = unscored("groups left whole", error.what, ideal=ideal_for(split))
                continue
            found[split] = mean_score(
                "groups left whole", partial(_whole, shares), list(shares), ideal=ideal_for(split), keep=False
            )
            name = "most rows of one group"
            found[f"{split}/most"] = Score(name=name, value=max(shares.values()), n=len(shares), ideal=ideal_for(split))
        return found

    def _shares(self, evidence: Evidence, split: str) -> dict[str, float]:
        rows = evidence.rows[split]
        out, each = said_successes(rows, said(evidence, split), self.threshold), dict[str, list[float]]()
        for group, one in zip(rows.groups, out.tolist(), strict=True):
            each.setdefault(group, []).append(one)
        shares = {group: float(np.mean(values)) for group, values in each.items() if len(values) >= self.least}
        if not shares:
            raise InputError(f"no {split} group has {self.least} rows")
        return shares


def _whole(shares: Mapping[str, float]) -> FloatArray:
    return np.array([share == 1 for share in shares.values()], np.float64)
