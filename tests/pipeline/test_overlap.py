"""How much of the retain set repeats the forget set, on counts made by hand."""

from __future__ import annotations

import numpy as np

from expunge.contract.splits import Splits
from expunge.facts.rows import Row, Rows
from expunge.pipeline.overlap import overlap, repeats


def rows(name: str, *answers: str) -> Rows:
    return Rows(
        tuple(Row(id=f"{name}-{i}", fields={"prompt": "", "answer": text}) for i, text in enumerate(answers)), name
    )


FORGET = rows("forget", "a b c d e f g h i j", "one two three")


def test_shared_runs_of_eight_words_are_counted() -> None:
    """Fails if n is off by one, or if case and punctuation count: row 1 shares exactly eight words, row 2 seven."""
    retain = rows("retain", "nothing of it here at all", "x A b, C d e f g h! y", "x a b c d e f g y", "one two four")
    found = overlap(Splits.of(forget=FORGET, retain=retain))
    assert (found["retain_rows"], found["sharing_n_gram"], found["n"]) == (4, 1, 8)
    assert "retain-1" in found["ids"]


def test_near_duplicates_share_half_of_their_own_triples() -> None:
    """Fails if the share is taken of the forget row, or of both: row 0 has 4 triples and shares 2, row 1 has 5 and shares 2, row 2 one of 2."""
    retain = rows("retain", "a b c d x y", "a b c d x y z", "one two three four")
    found = overlap(Splits.of(forget=FORGET, retain=retain))
    assert found["near_duplicates"] == 2
    assert found["ids"] == ["retain-0", "retain-2"]


def test_without_retain_rows_nothing_is_shared() -> None:
    """Fails if a missing retain set is an error, or its rows too short for a triple count as duplicates."""
    assert overlap(Splits.of(forget=FORGET))["retain_rows"] == 0
    assert overlap(Splits.of(forget=FORGET, retain=rows("retain", "a b")))["near_duplicates"] == 0


def test_no_text_is_in_what_is_returned() -> None:
    """Fails if the n-grams themselves, which repeat forget text, get into the record."""
    found = overlap(Splits.of(forget=FORGET, retain=rows("retain", "a b c d e f g h")))
    assert found["sharing_n_gram"] == 1
    assert "a b" not in str(found)


def test_arrays_of_forget_rows_that_are_retained_under_other_labels_are_counted() -> None:
    """Fails if arrays are compared by their labels too, or a list and an array of the same numbers pass for two: of 4 retain rows 2 repeat."""

    def row(name: str, features: object, label: int) -> Row:
        return Row(id=name, fields={"features": features, "label": label})

    forget = Rows((row("f0", [1.0, 2.0], 0), row("f1", [3.0, 4.0], 1)))
    retain = Rows(
        (
            row("r0", np.array([1.0, 2.0]), 1),
            row("r1", [2.0, 1.0], 0),
            row("r2", np.array([3, 4], np.float32), 2),
            row("r3", [1.0, 2.0, 0.0], 0),
        )
    )
    found = repeats(Splits.of(forget=forget, retain=retain), "tabular")
    assert found == {"retain_rows": 4, "equal_arrays": 2, "ids": ["r0", "r2"]}
    assert repeats(Splits.of(forget=FORGET), "text")["retain_rows"] == 0
    assert repeats(Splits.of(forget=forget, retain=retain), "diffusion") == {}
