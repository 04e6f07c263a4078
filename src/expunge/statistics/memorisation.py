"""How much of an answer the model repeats word by word, from the ranks of its tokens: one number an answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from expunge.facts.errors import InputError
from expunge.statistics.clusters import FloatArray, IntArray
from expunge.statistics.position_scores import PositionScores


def exact_memorisation(scores: PositionScores) -> FloatArray:
    """Return the share of answer tokens that are the model's first choice, the end of the sequence left out."""
    right, lengths = _right(scores)
    owners = np.repeat(np.arange(len(lengths)), lengths)
    return np.asarray(np.bincount(owners, weights=right, minlength=len(lengths)) / lengths, np.float64)


def extraction_strength(scores: PositionScores) -> FloatArray:
    """Return r / L: the share of the answer that is right from some token on to its last, 0 where the last is wrong.

    With k the least prefix after which every further token is the model's first choice, strength = 1 - k / L, L tokens without the end.
    Source: Carlini et al. 2021.
    """
    run, lengths = _last_run(scores)
    return np.asarray(run / lengths, np.float64)


def extraction_strength_open_unlearning(scores: PositionScores) -> FloatArray:
    """Return the standard framework's extraction strength, which never falls below 1 / L.

    Its loop ends at k = L - 1 whether or not the last token is right: max(r, 1) / L.
    """
    run, lengths = _last_run(scores)
    return np.asarray(np.maximum(run, 1) / lengths, np.float64)


def exposure(own: FloatArray, wrong: Sequence[FloatArray]) -> FloatArray:
    """Return log2(n + 1) - log2(rank) bits a row: the rank of its own answer among n wrong ones drawn from the same space.

    0 where every wrong answer is at least as likely, log2(n + 1) where none is. An answer never seen has a rank drawn evenly from 1..n + 1.
    Source: Carlini et al. 2019 (estimate by sampling).
    """
    ranks = np.array([1 + int((np.asarray(others) >= value).sum()) for value, others in zip(own, wrong, strict=True)])
    sizes = np.array([1 + len(others) for others in wrong])
    return np.asarray(np.log2(sizes) - np.log2(ranks), np.float64)


def _right(scores: PositionScores) -> tuple[NDArray[np.bool_], IntArray]:
    bare = scores.without_end()
    lengths = bare.lengths()
    if not lengths.all():
        empty = int((lengths == 0).sum())
        raise InputError(
            f"{empty} of {len(lengths)} answers have no token before the end, number {int(np.argmin(lengths)) + 1} among them"
        )
    return bare.ranks() == 0, lengths


def _last_run(scores: PositionScores) -> tuple[IntArray, IntArray]:
    """Return, an answer, how many tokens before its end are right without a gap, and how many there are."""
    right, lengths = _right(scores)
    if not len(lengths):
        return lengths, lengths
    starts = np.cumsum(lengths) - lengths
    place = np.arange(len(right)) - np.repeat(starts, lengths)
    last_wrong = np.maximum.reduceat(np.where(right, -1, place), starts)
    return lengths - 1 - last_wrong, lengths
