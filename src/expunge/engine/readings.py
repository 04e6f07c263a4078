"""Read evidence row by row: what metrics and attacks of several kinds take their numbers from."""

from __future__ import annotations

import numpy as np

from expunge.contract.evidence import Evidence
from expunge.facts.errors import InputError, UndeclaredRead
from expunge.statistics.answers import own_answers
from expunge.statistics.clusters import FloatArray
from expunge.statistics.position_scores import PositionScores
from expunge.statistics.rouge import Rouge, rouge_l
from expunge.statistics.tofu import Answers, answers_of


def own_scores(evidence: Evidence, split: str) -> PositionScores:
    """Return the one pass over the own answer of each row of a split, in row order."""
    return own_answers(evidence.of(split), evidence.rows[split])


def named_answers(evidence: Evidence, split: str) -> Answers:
    """Return mean log p a token of each row's own, paraphrased and wrong answers."""
    scores = evidence.of(split)
    found = dict(zip(scores.keys, scores.mean_log_prob().tolist(), strict=True))
    return answers_of(found, evidence.rows[split].ids)


def right_choices(evidence: Evidence, split: str) -> FloatArray:
    """Return 1 a row whose own answer has a higher mean log p a token than each of its wrong ones, else 0: an equal one does not count."""
    answers = named_answers(evidence, split)
    return np.array([own > wrong.max() for own, wrong in zip(answers.own, answers.wrong, strict=True)], np.float64)


def said(evidence: Evidence, split: str) -> list[str]:
    """Return what the model generated for each row of a split."""
    found, rows = evidence.generations.get(split), evidence.rows[split]
    if found is None:
        raise InputError(f"nothing was generated for {split!r}")
    if len(found) != len(rows):
        raise InputError(f"{len(found)} generations for {len(rows)} {split} rows")
    return list(found)


def rouges(evidence: Evidence, split: str) -> list[Rouge]:
    """Return ROUGE-L of what the model said against each row's answer."""
    pairs = zip(evidence.rows[split], said(evidence, split), strict=True)
    return [rouge_l(str(row["answer"]), text) for row, text in pairs]


def predicted_numbers(evidence: Evidence, split: str) -> FloatArray:
    """Return the number predicted for each row of a split, on the scale of the rows; raises for a classifier's probabilities."""
    found, rows = evidence.predictions.get(split), evidence.rows[split]
    if found is None:
        raise UndeclaredRead(f"no predictions of {split!r} were computed", do="declare 'predictions' in needs")
    if found.shape != (len(rows), 1):
        raise InputError(f"predictions of shape {found.shape} are no numbers, one a row, for {len(rows)} {split} rows")
    broken = int((~np.isfinite(found)).sum())
    if broken:
        raise InputError(f"{broken} of {len(rows)} {split} rows have no finite number")
    return np.asarray(found[:, 0], np.float64)


def errors_in_numbers(evidence: Evidence, split: str) -> FloatArray:
    """Return |prediction - target| of each row of a split, on the scale of the rows."""
    return np.abs(
        predicted_numbers(evidence, split) - np.array([row["label"] for row in evidence.rows[split]], np.float64)
    )
