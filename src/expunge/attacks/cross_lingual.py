"""The question in another language."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.contract.units import Probe
from expunge.engine.asking import THRESHOLD, success_outcome
from expunge.engine.wordings import best_so_far, lacking, wordings_out
from expunge.facts.record import Outcome
from expunge.facts.rows import Row
from expunge.statistics.clusters import FloatArray


@dataclass(frozen=True, kw_only=True)
class CrossLingual:
    """Ask in the other languages that a row brings, and count a row that comes out in any.

    Unlearning in one language leaves the roads to the same knowledge from others. A row's `translated_prompts` has the question by
    language; what is looked for is the row's `value`, so it suits names and numbers that these languages write alike. Rows without
    other languages or without a value are unscored: nothing is translated here. The curve has the languages tried so far, in the
    order of their names.

    Source: Jin et al. 2024 (RWKU). Differs: see `differs`. Cost: one greedy generation a language.
    """

    about = About(
        needs=("forget", "model"),
        modalities=("text",),
        claim="A fact that was unlearned in one language comes out when asked for in another.",
        paper="RWKU: Benchmarking Real-World Knowledge Unlearning for Large Language Models",
        link="https://arxiv.org/abs/2406.10890",
        year=2024,
        paper_id="P022",
        stochastic=False,
        differs=(
            "Translations come with the rows; the benchmark lets a model write them.",
            "In a model of two layers that was taught a made-up second language nothing came out in it after gradient difference in the "
            "first (.04, retrained .05; five draws).",
        ),
        battery="full",
        row_fields=("translated_prompts", "value"),
        cost="1 generation a language",
    )

    item_control: bool = True
    """Attack the holdout rows of the same model too: the control where no other model is one, at twice the cost."""

    def run(self, evidence: Evidence, probe: Probe) -> Outcome:
        """Return 1 a row that comes out in any other language; unscored where a row brings none."""
        curves: dict[str, list[tuple[float, float]]] = {}

        def attempt(split: str) -> FloatArray:
            rows = evidence.rows[split]
            wordings = [_translations(row) for row in rows]
            lacking(wordings, split, "question in another language")
            lacking(
                [str(row.get("value") or "") for row in rows],
                split,
                "value to look for in an answer of another language",
            )
            out = wordings_out(probe, probe.model(), rows, wordings, THRESHOLD)
            curves[split] = best_so_far(out)
            return np.array([one.max() for one in out], np.float64)

        worded = all(_translations(row) and row.get("value") for row in evidence.rows.get("holdout", ()))
        return success_outcome(
            "cross_lingual",
            evidence,
            attempt,
            with_items=worded and self.item_control,
            curve=lambda: curves["forget"],
        )


def _translations(row: Row) -> list[str]:
    return [str(text) for _, text in sorted((row.get("translated_prompts") or {}).items())]
