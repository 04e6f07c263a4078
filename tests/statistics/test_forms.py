"""Success by surface form on paper."""

from __future__ import annotations

import numpy as np
import pytest

from expunge.facts.errors import InputError
from expunge.facts.rows import Row
from expunge.statistics.forms import form_success, least_above, macro_mean


def row(**fields: object) -> Row:
    return Row(id="a", fields={"answer": "Its colour is red.", "form": "f", **fields})


def test_open_rows() -> None:
    """Fails if part of a word counts, or a row without a value is looked for whole: 3 of 4 words of the answer are .75."""
    assert [form_success(row(value="red"), text) for text in ("Red!", "It is tired.", "")] == [1.0, 0.0, 0.0]
    assert form_success(row(), "Its colour is blue.") == pytest.approx(0.75)


def test_choices_are_corrected_for_guessing() -> None:
    """Fails if wrong choices count 0 (a guesser would have 1/4, not 0), or saying none or all of them counts as right or wrong.

    Of four: right 1, wrong -(1/4)/(3/4) = -1/3, so that a guesser has 1/4 - 3/4 x 1/3 = 0. Of two: wrong -1.
    """
    four = row(value="red", chance=1 / 4, perturbed_answers=("blue.", "green.", "grey."))
    said = ["red.", "blue.", "green.", "grey."]
    values = [form_success(four, text) for text in said]
    assert values == pytest.approx([1.0, -1 / 3, -1 / 3, -1 / 3])
    assert sum(values) == pytest.approx(0.0)
    assert [form_success(four, text) for text in ("mauve", "red or blue", "")] == [0.0, 0.0, 0.0]
    two = row(value="Yes", chance=1 / 2, perturbed_answers=("No.",))
    assert [form_success(two, text) for text in ("Yes.", "No.", "Maybe")] == [1.0, -1.0, 0.0]
    with pytest.raises(InputError, match="no perturbed_answers"):
        form_success(row(value="Yes", chance=1 / 2), "Yes.")


def test_forms_and_people_count_alike() -> None:
    """Fails if rows are pooled: x has 1 and (0 + 1) / 2 -> .75, y 0 and 0 -> 0; pooled rows would give x 2/3."""
    success = {"cloze": np.array([1.0, 0.0]), "choice": np.array([0.0, 0.0, 1.0])}
    groups = {"cloze": ["x", "y"], "choice": ["y", "x", "x"]}
    values, people = macro_mean(success, groups)
    assert people == ["x", "y"]
    assert values.tolist() == pytest.approx([0.75, 0.0])
    with pytest.raises(InputError, match="1 of 2 groups have no row of the form 'cloze'"):
        macro_mean(success, {**groups, "cloze": ["x", "x"]})
    with pytest.raises(InputError, match="no form"):
        macro_mean({}, {})


def test_the_lower_end_of_a_difference() -> None:
    """By hand: means 2/3 and 0, variances of the means 1/3 / 3 and 0, so 2/3 - 1.96 / 3.

    Fails if the difference itself is returned, the variance is of the rows, or one person has a spread.
    """
    assert least_above(np.array([1.0, 1.0, 0.0]), np.zeros(4)) == pytest.approx(2 / 3 - 1.96 / 3)
    assert least_above(np.ones(3), np.zeros(3)) == 1.0
    with pytest.raises(InputError, match="two people"):
        least_above(np.ones(1), np.zeros(4))
