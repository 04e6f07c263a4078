"""RWKU's utility: five abilities that have nothing to do with what is forgotten."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.engine.readings import said
from expunge.facts.errors import InputError
from expunge.facts.rows import Row
from expunge.facts.score import Score
from expunge.statistics.answers import OWN
from expunge.statistics.clusters import FloatArray
from expunge.statistics.rwku import ABILITIES, best_f1, concluded, exact_match, n_gram_entropy
from expunge.statistics.summary import mean_score

HOW = ("choice", "exact match", "choice", "F1", "entropy of n-grams")


@dataclass(frozen=True, kw_only=True)
class RwkuUtility:
    """Measure what a model can do besides: rows say by their `ability` what they ask for.

    `SET/general` and `SET/truthfulness`: the share of rows whose right answer is likelier than every wrong one (log p of the whole
    answer, its end left out; an equal one does not count). `SET/reasoning`: exact match, in SQuAD's normal form, of what is said
    behind "the answer is", or of all that is said. `SET/factuality`: the best F1 of shared words over the row's `answers`. `SET/fluency`:
    the weighted entropy of bigrams and trigrams of a long answer, in bits; it falls when a model repeats itself and has no fixed top.

    Source: Jin et al. 2024 (RWKU). Differs: see `differs`. Reads generations, and the one pass for choices.
    """

    about = About(
        needs=("generations", "scores"),
        modalities=("text",),
        claim="It falls with the pressure of unlearning, and fluency first of all under gradient ascent.",
        paper="RWKU: Benchmarking Real-World Knowledge Unlearning for Large Language Models",
        link="https://arxiv.org/abs/2406.10890",
        year=2024,
        paper_id="P022",
        stochastic=False,
        differs=(
            "With intervals. Choices of the general ability compare whole answers; RWKU's the letters' next-token probabilities.",
            "Words for the entropy are cut by a pattern, not by NLTK's tokenizer: the same on plain sentences.",
            "In a model of 0.5M parameters fluency is not the first to fall under ascent (.02 of 4.57 bits; three draws).",
        ),
        battery="full",
        row_fields=("probe",),
        cost="one greedy generation a row, made once for all units, and arithmetic on the one pass",
    )

    def run(self, evidence: Evidence) -> Mapping[str, Score]:
        """Return one score an ability of each set that has rows of it."""
        ways: tuple[Callable[[Evidence, str, list[int]], FloatArray], ...] = (
            _choices,
            partial(_spoken, _reasoned),
            _choices,
            partial(_spoken, _factual),
            partial(_spoken, lambda _, text: n_gram_entropy(text)),
        )
        found = {}
        for split, rows in evidence.rows.items():
            for ability, how, way in zip(ABILITIES, HOW, ways, strict=True):
                chosen = [i for i, row in enumerate(rows) if row.get("ability") == ability]
                if chosen:
                    found[f"{split}/{ability}"] = mean_score(
                        f"RWKU {ability} ({how})",
                        partial(way, evidence, split, chosen),
                        rows.take(chosen).groups,
                        ideal="higher",
                        keep=len(chosen) == len(rows),
                    )
        return found


def _spoken(judge: Callable[[Row, str], float], evidence: Evidence, split: str, chosen: list[int]) -> FloatArray:
    texts, rows = said(evidence, split), evidence.rows[split]
    return np.array([judge(rows[i], texts[i]) for i in chosen], np.float64)


def _reasoned(row: Row, text: str) -> float:
    return exact_match(concluded(text), _answers(row))


def _factual(row: Row, text: str) -> float:
    return best_f1(text, _answers(row))


def _answers(row: Row) -> Sequence[str]:
    return tuple(row.get("answers") or (str(row["answer"]),))


def _choices(evidence: Evidence, split: str, chosen: list[int]) -> FloatArray:
    scores = evidence.of(split).without_end()
    totals = dict(zip(scores.keys, scores.total_log_prob().tolist(), strict=True))
    asked = {evidence.rows[split][i].id for i in chosen}
    own = {row: value for (row, name), value in totals.items() if name in OWN}
    wrong: dict[str, list[float]] = {row: [] for row in asked}
    for (row, name), value in totals.items():
        if row in asked and name.startswith("perturbed_answer"):
            wrong[row].append(value)
    bare = sum(not values for values in wrong.values())
    if bare:
        raise InputError(f"{bare} of {len(chosen)} {split} rows have no wrong answer to choose between")
    ids = [evidence.rows[split][i].id for i in chosen]
    return np.array([own[row] > max(wrong[row]) for row in ids], np.float64)
