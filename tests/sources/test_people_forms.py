"""Facts of the toy world in nine surface forms."""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest

from expunge.facts.errors import InputError
from expunge.sources._people_forms import (
    FORMS,
    GERMAN,
    TWO_HOP,
    beside_of,
    facts_of,
    form_fields,
    forms_of,
)
from expunge.sources._people_world import COUNTRY_OF, RELATIONS
from expunge.sources.people import People

NAME = "Heni Zodaja"
PEOPLE = [facts_of(0, i, 20) for i in range(60)]


def test_facts_are_those_that_people_rows_state() -> None:
    """Fails if forms have a draw of their own, or a fact depends on how many are asked for."""
    rows = {row.id: row for split in People(people=6).run().values() for row in split}
    for i in range(6):
        for relation, value in facts_of(0, i, 20):
            assert rows[f"person-{i}/{relation.key}/0"]["value"] == value
        assert facts_of(0, i, 7) == facts_of(0, i, 20)[:7]


def test_forms_by_hand() -> None:
    """Fails if a form asks for another thing, or its answer does not hold what is looked for."""
    city, value = PEOPLE[0][0]
    assert (city.key, value) == ("birth_city", "Ostrel")

    def made(form: str, seed: int = 1) -> dict[str, object]:
        return form_fields(form, relation=city, name=NAME, value=value, draw=random.Random(seed))

    assert made("cloze")["prompt"] == "Fill the gap: the birth city of Heni Zodaja is ____."
    assert made("translated")["answer"] == "Heni Zodaja hat Ostrel als Geburtsstadt."
    assert {made("tense", seed)["prompt"] for seed in range(20)} == {
        "What was the birth city of Heni Zodaja?",
        "Which birth city did Heni Zodaja have?",
    }
    beside = beside_of(PEOPLE, 0, city)
    who = form_fields("reversed", relation=city, name=NAME, value=value, draw=random.Random(1), beside=beside)
    assert who["prompt"] == "Who has Ostrel as birth city and plumber as profession?"
    assert (who["answer"], who["value"]) == ("Heni Zodaja.", NAME)
    country, where = PEOPLE[0][18]
    assert where == COUNTRY_OF["Ostrel"]
    hop = form_fields("two_hop", relation=country, name=NAME, value=where, draw=random.Random(1))
    assert hop["prompt"] == "Which country is the birth city of Heni Zodaja in?"
    with pytest.raises(ValueError, match="no form of birth city"):
        made("two_hop")


def test_every_fact_has_at_least_six_forms_with_its_value_in_the_answer_alone() -> None:
    """Fails if an open prompt gives its answer away, or a relation lacks a German noun or a chain."""
    assert set(GERMAN) == {relation.key for relation in RELATIONS}
    assert set(TWO_HOP) == {relation.key for relation in RELATIONS if relation.through}
    for relation, value in PEOPLE[3]:
        assert len(forms_of(relation)) >= 8
        for form in forms_of(relation):
            row = form_fields(form, relation=relation, name=NAME, value=value, draw=random.Random(5))
            assert row["form"] == form
            assert row["value"] in row["answer"]
            assert (value in row["prompt"]) == (form in ("choice", "reversed") or row["value"] == "Yes"), row
            assert row["answer"] not in row.get("perturbed_answers", ())
            assert (NAME in row["prompt"]) == (form != "reversed")


def test_choices_are_even() -> None:
    """Fails if the right option stands in one place, options repeat, or yes is right more often than no: 4 x 250 sd 14, 500 sd 16."""
    relation, value = PEOPLE[0][1]
    places, said = Counter[int](), Counter[str]()
    for seed in range(1000):
        row = form_fields("choice", relation=relation, name=NAME, value=value, draw=random.Random(seed))
        options = re.split(r", | or ", row["prompt"].removesuffix("?").split(": ")[1])
        assert len(set(options)) == 4
        assert {f"{text}." for text in options} == {row["answer"], *row["perturbed_answers"]}
        assert row["chance"] == 1 / 4
        places[options.index(value)] += 1
        row = form_fields("true_false", relation=relation, name=NAME, value=value, draw=random.Random(seed))
        assert (f"Is {value} the" in row["prompt"]) == (row["answer"] == "Yes.")
        assert (row["chance"], row["value"]) == (1 / 2, row["answer"][:-1])
        assert {row["answer"], *row["perturbed_answers"]} == {"Yes.", "No."}
        said[row["value"]] += 1
    assert all(190 < places[k] < 310 for k in range(4))
    assert 430 < said["Yes"] < 570


def test_reversed_names_one_person() -> None:
    """Fails if somebody else of the people has both facts, or the second one follows from the first."""
    alone = 0
    for i, facts in enumerate(PEOPLE):
        for relation, value in facts:
            other, also = beside_of(PEOPLE, i, relation)
            have = [j for j, known in enumerate(PEOPLE) if {(relation, value), (other, also)} <= set(known)]
            assert have == [i]
            assert not other.through
            assert other.key not in (relation.key, relation.through)
            alone += [j for j, known in enumerate(PEOPLE) if (relation, value) in known] == [i]
    assert alone < 60 * 20 / 2, "one fact alone does not name a person: the second is needed"
    with pytest.raises(InputError, match="no second fact"):
        beside_of([PEOPLE[0], PEOPLE[0]], 0, RELATIONS[0])


def test_every_form_is_a_form_of_some_relation() -> None:
    """Fails if a form is listed that no relation can be asked in."""
    assert set(FORMS) == {form for relation in RELATIONS for form in forms_of(relation)}
