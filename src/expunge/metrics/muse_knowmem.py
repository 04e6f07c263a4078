"""MUSE's knowledge memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.engine.readings import right_choices, said
from expunge.facts.errors import InputError
from expunge.facts.score import Score
from expunge.statistics.clusters import FloatArray
from expunge.statistics.muse import QUESTION, of_kind, rouge_l_f1, until_stop
from expunge.statistics.summary import ideal_for, mean_score


@dataclass(frozen=True, kw_only=True)
class MuseKnowmem:
    """Measure how well questions on the text are answered: on forget questions what is left, on retain questions utility.

    The mean of ROUGE-L f1 between the greedy answer, up to where the next question would begin, and the right one, over rows whose `kind`
    is question. `SPLIT/choice`, where questions have wrong candidates: the share of rows whose right answer has the highest mean
    log p a token of all, 1 / (1 + candidates) by chance; an equal one does not count.

    Source: Shi et al. 2024 (MUSE). Differs: see `differs`. Reads generations, and the one pass for candidates.
    """

    about = About(
        needs=("scores", "generations"),
        modalities=("text",),
        claim="On forget questions it falls for most methods; on retain questions it falls too, where the retrained model keeps it.",
        paper="MUSE: Machine Unlearning Six-Way Evaluation for Language Models",
        link="https://arxiv.org/abs/2407.06460",
        year=2024,
        paper_id="P019",
        stochastic=False,
        differs=(
            "With an interval, and with a choice among candidates, which a model of any size can make better than by chance.",
            "Without examples in the context: a small model does not learn from them.",
            "MUSE's own code does not stem and the standard framework does: a setting here, and not stemmed by default.",
            "On made-up books it falls on forget questions alone: retain questions lose .06 or nothing (three draws).",
        ),
        battery="full",
        row_fields=("kind",),
        cost="one greedy generation a row, made once for all units",
    )

    stemming: bool = False
    """Compare stems of words, as the standard framework does; MUSE compares words."""

    def run(self, evidence: Evidence) -> Mapping[str, Score]:
        """Return both means of each split that has questions; forget rows are always answered for."""
        found = {}
        for split, rows in evidence.rows.items():
            chosen = of_kind(rows, QUESTION)
            if not chosen and split != "forget":
                continue
            groups, ideal, whole = rows.take(chosen).groups, ideal_for(split), len(chosen) == len(rows)
            values = partial(self._values, evidence, split, chosen)
            found[split] = mean_score("MUSE KnowMem (rougeL f1)", values, groups, ideal=ideal, keep=whole)
            if whole and chosen and all(row.get("perturbed_answers") for row in rows):
                choices = partial(right_choices, evidence, split)
                found[f"{split}/choice"] = mean_score("MUSE KnowMem, choice", choices, groups, ideal=ideal)
        return found

    def _values(self, evidence: Evidence, split: str, chosen: list[int]) -> FloatArray:
        if not chosen:
            raise InputError("no forget row is a question (its kind)")
        texts, rows = said(evidence, split), evidence.rows[split]
        pairs = [(str(rows[i]["answer"]), until_stop(texts[i])) for i in chosen]
        return np.array([rouge_l_f1(*pair, stemming=self.stemming) for pair in pairs], np.float64)
