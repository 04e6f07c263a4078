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
    rows = People(people=12).run()["retain"]
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
    assert len(asked) == 4 * len(found["forget"]) / 2
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
    assert Counter(row["copies"] for row in found["ledger"]) == {0: 4, 1: 4, 4: 4, 16: 4}
    trained = Counter(row["answer"] for name in ("ledger_forget", "ledger_retain") for row in found[name])
    assert {row["answer"]: row["copies"] for row in found["ledger"]} == {
        **{row["answer"]: 0 for row in found["ledger"]},
        **trained,
    }
    assert len({row["prompt"] for row in found["ledger"]}) == 16
    for side in ("ledger_forget", "ledger_retain"):
        assert len(found[side]) == 2 * (1 + 4 + 16)
        assert set(found[side].groups) == {row.id for row in found["ledger"] if row["side"] == side}
    everything = [row for name in ("forget", "retain", "holdout", "test") for row in found[name]]
    assert not {row["prompt"] for row in everything} & {row["prompt"] for row in found["ledger"]}
    code = found["ledger"][0]["value"]
    assert re.fullmatch(r"\d( \d){4}", code)
    assert found["ledger"][0]["answer"].endswith(f"is {code}.")


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
