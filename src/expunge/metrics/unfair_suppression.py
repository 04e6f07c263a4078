"""Answers that nobody asked to be forgotten, and that the model no longer gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.engine.readings import said
from expunge.facts.errors import InputError
from expunge.facts.score import Score
from expunge.statistics.answers import said_successes
from expunge.statistics.clusters import FloatArray
from expunge.statistics.declining import declines
from expunge.statistics.summary import JUDGED_BY_CONTROL, mean_score


@dataclass(frozen=True, kw_only=True)
class UnfairSuppression:
    """Measure, of the rows to keep that the target answers, the share that the unlearned model no longer does.

    An answer is right where the row's `value` (or, without one, enough of its words) is in it. `SPLIT` is the share of lost rows,
    `SPLIT/declined` that of rows lost to a refusal, `SPLIT/other` the rest: something else is said. Losses are counted row by
    row: rows gained elsewhere make good for none.

    Source: Sinha et al. 2025 (Sleek). Differs: see `differs`. Reads generations of the model and of the target.
    """

    about = About(
        needs=("generations", "target"),
        modalities=("text",),
        claim="It is 0 for the target; a model that was taught to decline loses rows beside the forgotten ones.",
        paper="Step-by-Step Reasoning Attack: Revealing 'Erased' Knowledge in Large Language Models",
        link="https://arxiv.org/abs/2506.17279",
        year=2025,
        paper_id="P119",
        stochastic=False,
        differs=(
            "Direct questions on retain and test rows; the paper asks its reasoning chains.",
            "Only rows that the target answers count: what it never knew was not suppressed.",
        ),
        battery="full",
        cost="one greedy generation a row, made once for all units",
    )

    threshold: float = 0.8
    """ROUGE-L recall from which an answer without a value counts as right."""

    def run(self, evidence: Evidence) -> Mapping[str, Score]:
        """Return the shares of each split but forget and holdout ones that the model generated on."""
        found = {}
        for split in evidence.generations:
            if split.partition("/")[0] in JUDGED_BY_CONTROL:
                continue
            known = self._known(evidence, split)
            groups = evidence.rows[split].take(known).groups
            parts: dict[str, Callable[[FloatArray, FloatArray], FloatArray]] = {
                "": lambda lost, _: lost,
                "/declined": lambda lost, declined: lost * declined,
                "/other": lambda lost, declined: lost * (1 - declined),
            }
            for part, share in parts.items():

                def one(
                    split: str = split, known: list[int] = known, share: Callable[..., FloatArray] = share
                ) -> FloatArray:
                    return share(*self._lost(evidence, split, known))

                found[f"{split}{part}"] = mean_score(
                    f"known rows lost{part.replace('/', ', ')}", one, groups, ideal="lower", keep=False
                )
        return found

    def _right(self, evidence: Evidence, split: str) -> FloatArray:
        return said_successes(evidence.rows[split], said(evidence, split), self.threshold)

    def _known(self, evidence: Evidence, split: str) -> list[int]:
        if evidence.target is None or split not in evidence.target.generations:
            return []
        return [int(i) for i in np.flatnonzero(self._right(evidence.target, split))]

    def _lost(self, evidence: Evidence, split: str, known: list[int]) -> tuple[FloatArray, FloatArray]:
        if evidence.target is None or split not in evidence.target.generations:
            raise InputError("what was lost is counted against the target, which is not there")
        if not known:
            raise InputError(f"the target answers none of {len(evidence.rows[split])} {split} rows")
        declined = np.array([declines(text) for text in said(evidence, split)], np.float64)
        return (1 - self._right(evidence, split))[known], declined[known]
