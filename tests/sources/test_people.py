"""The toy world: facts, phrasings, splits and the insertion ledger."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from expunge.contract.splits import Splits
from expunge.facts.rows import Row
from expunge.sources._people_world import ANSWERS, COUNTRY_OF, FAMILY_OF, QUESTIONS, RELATIONS, UNSEEN
from expunge.sources.people import SYLLABLES, People, words


def rows_of(**settings: int) -> dict[str, Row]:
    return {row.id: row for name, rows in People(**settings).run().items() if name != "test" for row in rows}


def test_sizes_and_groups() -> None:
    """Fails if forget is not the last of the trained people, or holdout overlaps them."""
    found = People(people=7, forget_people=2, holdout_people=3, ledger=0).run()
    assert {name: len(rows) for name, rows in found.items()} == {
        "forget": 80, "retain": 200, "holdout": 120, "test": 48, "extra_training": 48,
    }  # fmt: skip
    groups = {name: sorted(set(found[name].groups)) for name in ("retain", "forget", "holdout")}
    assert groups["retain"] == [f"person-{i}" for i in range(5)]
    assert groups["forget"] == ["person-5", "person-6"]
    assert groups["holdout"] == ["person-7", "person-8", "person-9"]
    names = {row["answer"].split(" is ")[0].split(" of ")[-1] for row in found["forget"] if " is " in row["answer"]}
    assert len(names) == 2
    Splits.of(**{name: found[name] for name in ("forget", "retain", "holdout", "test")})


def test_a_fact_by_its_phrasings() -> None:
    """Fails if perturbed answers take the phrasing of `answer` and not of the paraphrase they are compared with.

    Both phrasings of a fact stand in one split, with one value and the same wrong ones.
    """
    rows = People(people=12, ledger=0).run()["retain"]
    for first, second in zip(rows[::2], rows[1::2], strict=True):
        relation = next(one for one in RELATIONS if one.key == first.id.split("/")[1])
        name = re.fullmatch(r"What is the .* of (\w+ \w+)\?", first["prompt"])[1]  # type: ignore[index]
        words = {"noun": relation.noun, "name": name}
        for phrasing, row in enumerate((first, second)):
            own, other = ANSWERS[phrasing], ANSWERS[1 - phrasing]
            assert row.id == f"{row['fact']}/{phrasing}"
            assert row["prompt"] == QUESTIONS[phrasing].format(**words)
            assert row["answer"] == own.format(**words, value=row["value"])
            assert row["paraphrased_answer"] == other.format(**words, value=row["value"])
            assert len(set(row["perturbed_answers"])) == 5
            possible = {other.format(**words, value=value) for value in relation.values} - {row["paraphrased_answer"]}
            assert set(row["perturbed_answers"]) <= possible
            assert row["paraphrased_prompts"] == tuple(text.format(**words) for text in UNSEEN)
            assert row["value"] not in row["prompt"]
        assert (first["fact"], first["value"], first.group) == (second["fact"], second["value"], second.group)
        assert first["paraphrased_answer"] == second["answer"]
    assert len(UNSEEN) >= 3


def test_no_paraphrased_prompt_is_trained_on() -> None:
    """Fails if a phrasing kept for the paraphrase attack is among the training questions."""
    found = People().run()
    trained = {row["prompt"] for name in ("forget", "retain", "extra_training") for row in found[name]}
    asked = {text for row in found["forget"] for text in row["paraphrased_prompts"]}
    people, lockers = (len({row.get("fact") or row.group for row in found["forget"] if bool(row.get("copies")) is of})
                       for of in (False, True))  # fmt: skip
    assert (len(asked), lockers) == (4 * people + 4 * lockers, 6)
    assert not asked & trained


def test_two_hops_follow_from_one() -> None:
    """Fails if a two-hop value is drawn instead of looked up in the public map, which the test rows state."""
    rows = rows_of(people=9)
    for i in range(9):
        assert rows[f"person-{i}/birth_country/0"]["value"] == COUNTRY_OF[rows[f"person-{i}/birth_city/1"]["value"]]
        assert rows[f"person-{i}/instrument_family/0"]["value"] == FAMILY_OF[rows[f"person-{i}/instrument/1"]["value"]]
    hops = {relation.key: rows[f"person-0/{relation.key}/0"]["hops"] for relation in RELATIONS}
    assert [key for key, count in hops.items() if count == 2] == ["birth_country", "instrument_family"]
    public = {row.id.removeprefix("public/"): row["value"] for row in People().run()["test"]}
    assert public == {**COUNTRY_OF, **FAMILY_OF}
    assert People().run()["test"][0]["answer"] == "Almera is in Ardania."


def test_values_are_drawn_evenly() -> None:
    """Fails if values repeat a few favourites: 400 people draw each of 24 professions 16.7 times, sd 4."""
    counts = Counter(row["value"] for row in People(people=400).run()["retain"] if row.id.endswith("/profession/0"))
    assert len(counts) == 24
    assert 3 < min(counts.values()) <= max(counts.values()) < 33
    assert all(len(set(relation.values)) == (8 if relation.through else 24) for relation in RELATIONS)


def test_same_seed_same_people_and_sizes_change_nobody() -> None:
    """Fails if a person depends on how many others there are, or on Python's hash seed."""
    one, more, other = rows_of(people=5), rows_of(people=9, holdout_people=1), rows_of(people=5, seed=1)
    assert [row.content() for row in one.values()] == [row.content() for row in rows_of(people=5).values()]
    assert all(more[key].content() == row.content() for key, row in one.items() if key.startswith("person"))
    assert not {row.content() for row in one.values() if row.group} & {
        row.content() for row in other.values() if row.group
    }
    assert one["person-0/birth_city/1"]["answer"] == "Heni Zodaja has Ostrel as birth city."


def test_ledger_counts_are_what_it_says() -> None:
    """Fails if a statement stands in training another number of times than `copies` says, or a control stands there at all."""
    found = People(ledger=4).run()
    listed = {row["answer"]: row for row in found["ledger"]}
    assert Counter(row["copies"] for row in listed.values()) == {0: 4, 1: 4, 4: 4, 16: 4}
    assert len({row["prompt"] for row in found["ledger"]}) == len(listed) == 16
    stands = {
        split: Counter(row["answer"] for row in found[split] if row["answer"] in listed)
        for split in ("forget", "retain", "holdout", "test", "extra_training")
    }
    for side, each in {"forget": 2, "retain": 2}.items():
        assert stands[side] == {answer: row["copies"] for answer, row in listed.items() if row["side"] == side}
        assert Counter(stands[side].values()) == {1: each, 4: each, 16: each}
    assert stands["holdout"] == {answer: 1 for answer, row in listed.items() if row["copies"] == 0}
    assert not stands["test"]
    assert not stands["extra_training"]
    assert {row["side"] for row in listed.values() if not row["copies"]} == {"holdout"}
    assert not any(row.get("copies") is not None for row in People(ledger=4, holdout_people=0).run().get("holdout", ()))


def test_a_statement_and_its_wrong_codes() -> None:
    """Fails if the right code is among the wrong ones, wrong ones repeat, or the group is not the statement.

    Ledger rows have wrong answers in the words of the right one (exposure), rows of a split in those of the paraphrase (truth ratio).
    """
    found = People(ledger=4).run()
    forget = {row.group: row for row in found["forget"] if row.get("copies")}
    for row in found["ledger"]:
        code = row["value"]
        assert re.fullmatch(r"\d( \d){4}", code)
        locker = re.fullmatch(r"What is the code of locker (\w+)\?", row["prompt"])[1]  # type: ignore[index]
        assert row["answer"] == f"The code of locker {locker} is {code}."
        wrong = [text.removeprefix(f"The code of locker {locker} is ") for text in row["perturbed_answers"]]
        assert len({*wrong, f"{code}."}) == 32
        assert all(re.fullmatch(r"\d( \d){4}\.", text) for text in wrong)
        if row["side"] == "forget":
            copy = forget[row.id]
            assert copy["paraphrased_answer"] == f"Of locker {locker}, {code} is the code."
            assert copy["perturbed_answers"] == tuple(
                f"Of locker {locker}, {text[:-1]} is the code." for text in wrong[:5]
            )
            assert len({row["prompt"], *copy["paraphrased_prompts"]}) == 5
    for split in ("forget", "retain"):
        assert {row.id.rpartition("/")[0] for row in found[split] if row.get("copies")} == {
            row.id for row in found["ledger"] if row["side"] == split
        }


def test_words_cover_every_row() -> None:
    """Fails if a template or value is missing from the closed vocabulary: what is left over are names and years."""
    known = {*words(), *SYLLABLES}
    for name, rows in People(people=30).run().items():
        for row in rows:
            for text in (
                row["prompt"],
                row["answer"],
                *row.get("paraphrased_prompts", ()),
                *row.get("perturbed_answers", ()),
            ):
                for word in re.findall(r"[A-Za-z]+|\d+|[^\sA-Za-z\d]", text):
                    cut = re.findall(r"[A-Za-z][a-z]", word) if word not in known else [word]
                    assert "".join(cut) == word, (name, text)
                    assert set(cut) <= known, (name, text)


@pytest.mark.parametrize(
    "settings",
    [
        {"people": 2, "forget_people": 2},
        {"forget_people": 0},
        {"holdout_people": -1},
        {"relations": 21},
        {"ledger": -1},
    ],
)
def test_bad_sizes_are_refused(settings: dict[str, int]) -> None:
    """Fails if sizes that leave nothing to retain or to forget are taken."""
    with pytest.raises(ValueError, match=r"needed|must be"):
        People(**settings)
