"""What counts as having come out."""

from __future__ import annotations

import numpy as np
import pytest

from expunge.facts.errors import InputError
from expunge.facts.rows import Row
from expunge.statistics.answers import comes_out, contains_value, own_answers, predicted, said_successes
from expunge.statistics.position_scores import PositionScores


def scores(keys: list[tuple[str, str]], ranks: list[int]) -> PositionScores:
    n = len(keys)
    return PositionScores(
        keys=tuple(keys),
        offsets=np.arange(n + 1),
        log_prob=-np.arange(1.0, n + 1),
        mean=np.zeros(n),
        variance=np.ones(n),
        rank=np.array(ranks),
        is_end=np.zeros(n, bool),
    )


@pytest.mark.parametrize(
    ("said", "value", "expected"),
    [
        ("He was born in 1912.", "12", False),
        ("It was the 12th... no, 12!", "12", True),
        ("She lives in NEW york, they say", "New York", True),
        ("york is new", "New York", False),
        ("São Paulo", "sa\u0303o paulo", True),
        ("the grade is ++", "++", True),
    ],
)
def test_values_are_whole_words_in_order(said: str, value: str, expected: bool) -> None:
    """Fails if a value is looked for as a substring, with case, out of order or without Unicode normalisation."""
    assert contains_value(said, value) is expected


def test_an_empty_value_is_refused() -> None:
    """Fails if the empty value counts as found everywhere."""
    with pytest.raises(InputError):
        contains_value("anything", "  ")


def test_value_first_then_rouge() -> None:
    """Fails if ROUGE decides where a row has a value (template answers overlap), or the threshold is not reached at equality."""
    template = Row(id="a", fields={"answer": "The city of birth of Ann is Rome.", "value": "Rome"})
    assert not comes_out(template, "The city of birth of Ann is Oslo.", 0.5)
    assert comes_out(template, "rome", 0.99)
    bare = Row(id="b", fields={"answer": "one two three four five"})
    assert comes_out(bare, "one two three four", 0.8)
    assert not comes_out(bare, "one two three", 0.8)
    assert said_successes([template, bare], ["Rome", "no"], 0.8).tolist() == [1.0, 0.0]
    with pytest.raises(InputError):
        said_successes([template], [], 0.8)


def test_own_answers_are_those_of_the_rows_in_order() -> None:
    """Fails if perturbed answers get in, or scores of other rows (or another order) are taken for these."""
    rows = [Row(id="a", fields={}), Row(id="b", fields={})]
    both = scores([("a", "answer"), ("a", "perturbed_answer/0"), ("b", "answer")], [0, 0, 3])
    assert own_answers(both, rows).log_prob.tolist() == [-1.0, -3.0]
    assert predicted(both, rows).tolist() == [1.0, 0.0]
    with pytest.raises(InputError, match="other rows"):
        own_answers(both, rows[::-1])
    assert predicted(scores([("a", "label"), ("b", "label")], [1, 0]), rows).tolist() == [0.0, 1.0]
