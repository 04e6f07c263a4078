"""Read what classifiers predict, row by row: what metrics and attacks on predictions take their numbers from."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from expunge.contract.evidence import Evidence
from expunge.facts.errors import InputError, UndeclaredRead
from expunge.statistics.clusters import FloatArray, IntArray


def log_probs(evidence: Evidence, split: str) -> FloatArray:
    """Return log p of every class, (rows, classes); refuses rows that are not there, and a regression, which has no classes."""
    rows = evidence.rows.get(split, ())
    if not len(rows):
        raise InputError(f"there are no {split} rows")
    found = evidence.predictions.get(split)
    if found is None:
        raise UndeclaredRead(
            f"no predictions of {split!r} were computed", do="declare 'predictions' and the split in needs"
        )
    if found.shape[0] != len(rows):
        raise InputError(f"{found.shape[0]} predictions for {len(rows)} {split} rows")
    if found.shape[1] < 2:
        raise InputError("the model predicts a number, not one of some classes")
    if np.isnan(found).any():
        raise InputError(f"{int(np.isnan(found).any(1).sum())} {split} rows have predictions that are no numbers")
    return np.asarray(found, np.float64)


def labels(evidence: Evidence, split: str) -> IntArray:
    """Return the label of each row."""
    return np.array([int(row["label"]) for row in evidence.rows[split]], np.int64)


def label_log_probs(evidence: Evidence, split: str) -> FloatArray:
    """Return log p(label) of each row."""
    found = log_probs(evidence, split)
    return np.asarray(found[np.arange(len(found)), labels(evidence, split)], np.float64)


def right(evidence: Evidence, split: str) -> FloatArray:
    """Return 1 a row whose label is the model's first choice, else 0."""
    return np.asarray(log_probs(evidence, split).argmax(1) == labels(evidence, split), np.float64)


def remembered(read: Callable[[Evidence], FloatArray]) -> Callable[[Evidence], FloatArray]:
    """Return `read` with each model's numbers computed once: anchors read every model against all others."""
    known: dict[int, tuple[Evidence, FloatArray]] = {}

    def of(one: Evidence) -> FloatArray:
        if id(one) not in known:
            known[id(one)] = (one, read(one))  # the evidence is kept too, so that no other takes its id
        return known[id(one)][1]

    return of


def ahead(one: Evidence, others: Sequence[Evidence], read: Callable[[Evidence], FloatArray]) -> FloatArray:
    """Return one model's numbers minus the mean of the others', row by row."""
    return np.asarray(read(one) - np.mean([read(other) for other in others], axis=0), np.float64)


def mean_over(
    one: Evidence, others: Sequence[Evidence], split: str, between: Callable[[FloatArray, FloatArray], FloatArray]
) -> FloatArray:
    """Return, a row, the mean over `others` of a divergence between log-probabilities of one model and of another."""
    own = log_probs(one, split)
    return np.asarray(np.mean([between(own, log_probs(other, split)) for other in others], axis=0), np.float64)
