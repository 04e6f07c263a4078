"""RWKU's formulas by hand."""

from __future__ import annotations

import math

import pytest

from expunge.facts.errors import InputError
from expunge.facts.rows import Row
from expunge.statistics.rwku import (
    best_f1,
    by_probe,
    concluded,
    exact_match,
    n_gram_entropy,
    recalls,
    rouge_l_recall,
)


def test_recall_counts_distinct_words_in_order() -> None:
    """Fails if repeated words count twice (the cat the: 2 of 2, not 2 of 3), case is folded, or a full stop sticks to a word."""
    assert rouge_l_recall("New York", "She was born in New York.") == 1.0
    assert rouge_l_recall("New York", "in York New") == 0.5
    assert rouge_l_recall("the cat the", "the cat") == 1.0
    assert rouge_l_recall("Corvale", "corvale") == 0.0
    assert rouge_l_recall("one two three four", "four one three") == 0.5
    assert rouge_l_recall("Dune, Emma", "Dune Emma") == 0.5


def test_recall_joins_what_several_sentences_hold() -> None:
    """Of w1..w5 one said sentence holds w1 w2 and another w1 w3 w5: together 4 of 5. Fails if only the best sentence counts."""
    assert rouge_l_recall("w1 w2 w3 w4 w5", "w1 w2 w6 w7 w8. w1 w3 w8 w9 w5") == pytest.approx(4 / 5)
    assert rouge_l_recall("a b. c d", "c d. x a") == pytest.approx(3 / 4)


def test_silence_recalls_nothing_and_an_empty_reference_is_refused() -> None:
    """Fails if an empty answer, which RWKU replaces by NOANSWER, is an error or left out, or nothing to find is found."""
    assert [rouge_l_recall("NOANSWER", text) for text in ("", " . ", "...")] == [0.0, 0.0, 0.0]
    with pytest.raises(InputError, match="no word to find"):
        rouge_l_recall(" . ", "a")


def test_entropy_by_hand() -> None:
    """a b a b: bigrams ab 2, ba 1; trigrams aba, bab. H2 = log2 3 - 2/3, H3 = 1; mean of 2/3 H2 and 4/3 H3.

    Fails if the weights are swapped, logs are natural, or the mean over n is a sum.
    """
    wanted = (2 / 3 * (math.log2(3) - 2 / 3) + 4 / 3 * 1) / 2
    assert n_gram_entropy("a b a b") == pytest.approx(wanted, abs=1e-12)
    assert n_gram_entropy("no no no no no no") == 0.0
    assert n_gram_entropy("") == n_gram_entropy("word") == 0.0
    every = " ".join(f"w{i}" for i in range(18))
    assert n_gram_entropy(every) == pytest.approx((2 / 3 * math.log2(17) + 4 / 3 * math.log2(16)) / 2)
    assert n_gram_entropy("it is big, is it") == n_gram_entropy("it is big , is it")


def test_match_and_f1_by_hand() -> None:
    """Fails if articles or marks count, the first answer alone is looked at, or a shared word counts more often than both have it."""
    assert exact_match("The Rim of  Fire!", ("volcano", "rim of fire")) == 1.0
    assert exact_match("rim of", ("rim of fire",)) == 0.0
    assert best_f1("fire fire fire", ("rim of fire", "x")) == pytest.approx(2 * 1 / (3 + 3))
    assert best_f1("a rim", ("sea", "the rim of fire")) == pytest.approx(2 * 1 / (1 + 3))
    assert (best_f1("the", ("an",)), best_f1("", ("x",))) == (1.0, 0.0)
    with pytest.raises(InputError, match="a list"):
        exact_match("y", "yes")


def test_conclusion() -> None:
    """Fails if what stands before the conclusion, or behind its full stop, is matched too."""
    assert concluded("So it is 3. The answer is (B). The answer is C.") == "(B)"
    assert concluded(" (B) ") == "(B)"


def probe(i: int, **fields: object) -> Row:
    return Row(id=str(i), fields={"answer": "x", **fields})


def test_rows_by_level_and_kind() -> None:
    """Fails if a row without a level counts, kinds are not in RWKU's order, or an unknown kind is dropped."""
    rows = [
        probe(0, level=3, probe="riddle"),
        probe(1, level=3, probe="reverse_query"),
        probe(2, level=1, probe="fill_in_the_blank"),
        probe(3, probe="statement"),
        probe(4, level=3, probe="prefix_injection"),
    ]
    found = by_probe(rows)
    assert list(found.items()) == [
        ("level_1", [2]),
        ("level_3", [0, 1, 4]),
        ("fill_in_the_blank", [2]),
        ("prefix_injection", [4]),
        ("reverse_query", [1]),
        ("riddle", [0]),
    ]


def test_a_value_is_looked_for_before_the_answer() -> None:
    """Fails if words of the answer's template count where a row names its value."""
    rows = [probe(0, answer="The city is Rome.", value="Rome"), probe(1, answer="The city is Rome.")]
    said = ["The city is Oslo.", "The city is Oslo."]
    assert recalls(rows, said, [0, 1]).tolist() == [0.0, 0.75]
    assert recalls(rows, said, [1]).tolist() == [0.75]
