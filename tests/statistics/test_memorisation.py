"""Extraction strength and exact memorisation by hand."""

from __future__ import annotations

import numpy as np
import pytest

from expunge.facts.errors import InputError
from expunge.statistics.memorisation import (
    exact_memorisation,
    exposure,
    extraction_strength,
    extraction_strength_open_unlearning,
)
from expunge.statistics.position_scores import PositionScores

RANKS = {
    "all": [0, 0, 0, 0],
    "tail": [0, 5, 0, 0],
    "last wrong": [0, 0, 0, 2],
    "none": [1, 1, 1, 1],
    "one": [7],
}


def scores(ranks: dict[str, list[int]], end_rank: int = 3) -> PositionScores:
    """Ranks with an end token behind each answer, which the model gets wrong."""
    rows = {name: [*values, end_rank] for name, values in ranks.items()}
    lengths = [len(values) for values in rows.values()]
    n = sum(lengths)
    is_end = np.zeros(n, bool)
    is_end[np.cumsum(lengths) - 1] = True
    return PositionScores(
        keys=tuple((name, "answer") for name in rows),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        log_prob=np.full(n, -1.0),
        mean=np.zeros(n),
        variance=np.ones(n),
        rank=np.concatenate([np.array(values) for values in rows.values()]),
        is_end=is_end,
    )


def slow_strength(right: list[bool]) -> float:
    """The definition: the least prefix after which everything is right."""
    least = next(k for k in range(len(right) + 1) if all(right[k:]))
    return 1 - least / len(right)


def test_extraction_strength_has_floor_0() -> None:
    """Fails if the last token's miss still gives 1/L (the standard framework's floor), or the end token counts."""
    assert extraction_strength(scores(RANKS)).tolist() == [1.0, 0.5, 0.0, 0.0, 0.0]


def test_open_unlearning_variant_has_floor_1_over_length() -> None:
    """Fails if the standard framework's floor is mended here: its tables could not be compared with."""
    assert extraction_strength_open_unlearning(scores(RANKS)).tolist() == [1.0, 0.5, 0.25, 0.25, 1.0]


def test_exact_memorisation() -> None:
    """Fails if the end token counts, or tokens are averaged over all answers at once."""
    assert exact_memorisation(scores(RANKS)).tolist() == [1.0, 0.75, 0.75, 0.0, 0.0]


def test_equals_the_definition_on_random_answers() -> None:
    """Fails if the run of right tokens crosses an answer's edge."""
    draw = np.random.default_rng(0)
    ranks = {str(i): draw.integers(0, 3, draw.integers(1, 9)).tolist() for i in range(200)}
    expected = [slow_strength([rank == 0 for rank in values]) for values in ranks.values()]
    assert extraction_strength(scores(ranks)).tolist() == pytest.approx(expected)


def test_an_answer_of_nothing_but_its_end_has_no_value() -> None:
    """Fails if an empty answer gives 0 (0 / 0 in the peer) in place of a reason."""
    for metric in (extraction_strength, extraction_strength_open_unlearning, exact_memorisation):
        with pytest.raises(InputError, match="1 of 2 answers have no token before the end"):
            metric(scores({"a": [0], "b": []}))


def test_exposure_is_the_rank_in_bits() -> None:
    """By hand, of 3 wrong answers: first 2 bits, last 0, second 1, a tie for the first counts as second.

    Fails if the rank starts at 0, ties favour the right answer, or the natural logarithm is taken.
    """
    wrong = [np.array([-3.0, -2.0, -4.0])] * 4
    found = exposure(np.array([-1.0, -5.0, -2.5, -2.0]), wrong)
    assert found.tolist() == [2.0, 0.0, 1.0, 1.0]
    draw = np.random.default_rng(0)
    chance = exposure(draw.normal(size=20000), list(draw.normal(size=(20000, 31))))
    assert chance.mean() == pytest.approx(5 - np.mean(np.log2(np.arange(1, 33))), abs=0.03)
