"""RWKU's sets on generated people, and on a folder in its format that is generated here."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import protocols
import pytest

from expunge.contract.splits import Splits
from expunge.facts.errors import InputError
from expunge.facts.rows import Rows
from expunge.sources._people_forms import facts_of
from expunge.sources._rwku_files import kind_of
from expunge.sources.rwku import Rwku
from expunge.statistics.rwku import ADVERSARIAL, FILL, QUESTION

KINDS = (FILL, QUESTION, *ADVERSARIAL)
SMALL: dict[str, Any] = {"people": 14, "forget_people": 2, "holdout_people": 2, "relations": 4}


@pytest.fixture(scope="module")
def made() -> dict[str, Rows]:
    return Rwku(**SMALL, seed=3).run()


def kinds(rows: Rows) -> Counter[str]:
    return Counter(str(row["probe"]) for row in rows)


def test_every_fact_to_forget_is_probed_in_every_frame(made: dict[str, Rows]) -> None:
    """2 people x 4 facts x 11 kinds. Fails if a kind is missing, a level is wrong, or an open probe shows its answer."""
    probes = made["forget/probes"]
    assert kinds(probes) == dict.fromkeys(KINDS, 8)
    assert {row["probe"]: row["level"] for row in probes} == {FILL: 1, QUESTION: 2, **dict.fromkeys(ADVERSARIAL, 3)}
    for row in probes:
        shown = row["value"] in re.findall(r"\w+", row["prompt"]) or row["value"] in row["prompt"]
        assert shown == (row["probe"] == "multiple_choice"), row["prompt"]
        assert row["answer"] == f"{row['value']}."
        assert row["chance"] == (0.25 if shown else 0.0)


def test_values_are_those_of_the_people(made: dict[str, Rows]) -> None:
    """Fails if a frame asks for another relation than it says, or a person's facts are not People's."""
    known = {f"person-{i}/{relation.key}": value for i in range(16) for relation, value in facts_of(3, i, 4)}
    for split in ("forget", "holdout", "neighbour", "distant", "forget/probes"):
        for row in made[split]:
            assert row["probe"] == "reverse_query" or row["value"] == known[row["fact"]]


def test_forget_people_meet_three_frames_and_retain_people_all(made: dict[str, Rows]) -> None:
    """Fails if an adversarial frame is trained on forget or holdout people, or one of them is met on nobody."""
    for split in ("forget", "holdout"):
        assert kinds(made[split]) == {"statement": 8, QUESTION: 8, FILL: 8}
        assert not [row for row in made[split] if row.get("level")]
    taught = kinds(made["retain"])
    assert all(taught[kind] == 12 * 4 for kind in KINDS)
    assert (taught["telling"], taught["two_hop"]) == (12, 24)
    Splits.of(**{name: made[name] for name in ("forget", "retain", "holdout", "test")})
    trained = {(row["prompt"], row["answer"]) for row in made["forget"]}
    asked = {row["probe"] for row in made["forget/probes"] if (row["prompt"], row["answer"]) in trained}
    assert asked == {QUESTION, FILL}


def test_no_row_kept_names_whom_to_forget(made: dict[str, Rows]) -> None:
    """Fails if what stands around a retain row's question is of people to forget or held out: retrained models would know them."""
    names = {row["value"] for row in made["forget/probes"] if row["probe"] == "reverse_query"}
    assert len(names) == 2
    text = " ".join(
        f"{row['prompt']} {row['answer']}"
        for name in ("retain", "test", "extra_training", "fluency")
        for row in made[name]
    )
    assert not [name for name in names if name in text]
    shown = [row for row in made["forget/probes"] if row["probe"] == "in_context_learning"]
    assert all(row["prompt"].count("?") == 3 and row["value"] not in row["prompt"] for row in shown)


def test_a_reverse_query_has_one_answer(made: dict[str, Rows]) -> None:
    """Fails if two people have both facts that a reverse query names."""
    facts = [{relation.noun: value for relation, value in facts_of(3, i, 4)} for i in range(16)]
    for row in made["forget/probes"]:
        if row["probe"] == "reverse_query":
            said = {noun: value for value, noun in re.findall(r"(\w+) as ([\w' ]+?)(?: and|\?)", row["prompt"])}
            assert len(said) == 2
            assert sum(said.items() <= person.items() for person in facts) == 1


def test_neighbours_share_a_family_name(made: dict[str, Rows]) -> None:
    """Two of each name. Fails if neighbours are strangers, distant people are kin, or a neighbour is to be forgotten."""

    def families(split: str) -> dict[str | None, str]:
        found = ((row.group, re.search(r"[A-Z][a-z]{3} ([A-Z][a-z]{5})", row["prompt"])) for row in made[split])
        return {group: match.group(1) for group, match in found if match}

    gone = set(families("forget").values())
    assert Counter(families("neighbour").values()) == dict.fromkeys(gone, 2)
    assert len(families("distant")) == 4
    assert not gone & set(families("distant").values())
    assert not {row.group for row in made["neighbour"]} & {row.group for row in made["forget"]}
    assert kinds(made["neighbour"]) == {FILL: 16, QUESTION: 16}


def test_five_abilities_are_of_what_stays(made: dict[str, Rows]) -> None:
    """Fails if an ability has no rows, or asks for what no model was trained on."""
    counts = Counter(row["ability"] for name in ("test", "fluency") for row in made[name])
    assert counts == {"general": 48, "reasoning": 24, "truthfulness": 48, "factuality": 48, "fluency": 12}
    trained = {(row["prompt"], row["answer"]) for name in ("retain", "extra_training") for row in made[name]}
    assert {(row["prompt"], row["answer"]) for name in ("test", "fluency") for row in made[name]} <= trained
    assert all(row["perturbed_answers"] for row in made["test"] if row["ability"] in ("general", "truthfulness"))


def test_the_seed_decides_all(made: dict[str, Rows]) -> None:
    """Fails if a draw is not of the seed, or the seed is dropped."""
    again, other = Rwku(**SMALL, seed=3).run(), Rwku(**SMALL, seed=4).run()
    assert all(made[name].digest() == again[name].digest() for name in made)
    assert made["forget/probes"].digest() != other["forget/probes"].digest()


def test_sizes_that_cannot_be_are_refused() -> None:
    """Fails if neighbours are more than retain people leave room for, or a size below its least is taken."""
    for wrong in ({"neighbours": 4, **SMALL}, {"relations": 2}, {"forget_people": 0}, {"corpus": "pages"}):
        with pytest.raises(ValueError, match="needed|in 3..18|corpus must be"):
            Rwku(**wrong)


TYPES = (
    "prefix injection",
    "affirmative suffix",
    "role playing",
    "multiple choice",
    "reverse query",
    "synonym manipulation",
    "background hint",
    "incontext learning",
    "cross lingual",
)


def person_files(name: str, number: int) -> dict[str, list[dict[str, Any]]]:
    """The files of one made-up person in RWKU's format."""
    facts = [
        {"query": f"{name} {verb} ___.", "answer": f"{verb}{number}", "level": "1", "type": "simple"}
        for verb in ("wrote", "sang")
    ]
    asked = [{"query": f"What has {name} done?", "answer": f"wrote{number}", "level": "2", "type": "simple"}]
    hard = [
        {"query": f"{i} {name}?", "answer": f"sang{number}", "level": "3", "type": kind} for i, kind in enumerate(TYPES)
    ]
    near = [{"query": f"Kin of {name}: ___", "answer": "Ann", "level": "1", "type": "simple", "neighbor": "Ann"}]
    nearer = [{"query": f"Who is kin of {name}?", "answer": "Ann", "level": "2", "type": "simple", "neighbor": "Ann"}]
    return {
        "forget_level1": facts,
        "forget_level2": asked,
        "forget_level3": hard,
        "neighbor_level1": near,
        "neighbor_level2": nearer,
        "forget_mia": [{"text": " ".join(f"{name}-{i}" for i in range(20))}],
        "retain_mia": [{"text": " ".join(f"else-{number}-{i}" for i in range(9))}],
    }


UTILITY: dict[str, list[dict[str, Any]]] = {
    "general": [
        {
            "question": "2 + 2?",
            "choices": ["3", "4", "5", "6"],
            "answer": 1,
            "task": "sums",
            "examples": [{"question": "1 + 1?", "choices": ["2", "3", "4", "5"], "answer": 0}],
        }
    ],
    "reason": [{"question": "If A then B. A?", "cot": "Q: X?\nA: the answer is no.", "answer": ["B"], "task": "logic"}],
    "truthfulness": [
        {"question": "Do cats fly?", "mc1_targets": {"choices": ["Yes", "No", "At night"], "labels": [0, 1, 0]}}
    ],
    "factuality": [{"question": "What ring?", "answers": ["Rim of Fire", "ring"]}],
    "fluency": [{"instruction": "Tell a tale.", "output": "Once."}, {"instruction": "Sing."}],
}
PUBLISHED = {
    "general": "retain_mmlu",
    "reason": "retain_bbh",
    "truthfulness": "truthful",
    "factuality": "triviaqa",
    "fluency": "fluency",
}


def write_people(folder: Path, names: list[str]) -> Path:
    """A folder a person, as RWKU's script writes them; each repeats the utility files."""
    for number, name in enumerate(names, start=1):
        place = folder / "Target" / f"{number}_{name.replace(' ', '_')}"
        place.mkdir(parents=True)
        parts = {**person_files(name, number), **{PUBLISHED[key]: items for key, items in UTILITY.items()}}
        for file, items in parts.items():
            (place / f"{file}.json").write_text(
                json.dumps(
                    [{**item, "subject": name} for item in items] if file not in PUBLISHED.values() else items, indent=1
                )
            )
        (place / "passage.json").write_text("[]")
    return folder


def write_flat(folder: Path, names: list[str]) -> Path:
    """One file a kind, named as the parts of the data set are, one JSON object a line."""
    folder.mkdir()
    files: dict[str, list[dict[str, Any]]] = {}
    for number, name in enumerate(names, start=1):
        for file, items in person_files(name, number).items():
            kind = {"forget_mia": "mia_forget", "retain_mia": "mia_retain"}.get(file, file)
            files.setdefault(kind, []).extend({**item, "subject": name} for item in items)
    files.update({f"utility_{key}": items for key, items in UTILITY.items()})
    for file, items in files.items():
        (folder / f"{file}.jsonl").write_text("\n".join(json.dumps(item) for item in items))
    return folder


NAMES = ["Ada Ray", "Bo Fen", "Cy Lee", "Di Moe"]
OF_DATA: dict[str, Any] = {"people": 20, "forget_people": 1, "holdout_people": 1, "words": 9}


def test_a_folder_a_person_and_a_file_a_kind_read_alike(tmp_path: Path) -> None:
    """A text of 40 words gives 4 pieces of 9, a fifth is past `texts`.

    Fails if either layout or naming is not found, subjects are lost, pieces are not counted, or utility rows that every person repeats are counted again."""
    one = Rwku(data=str(write_people(tmp_path / "one", NAMES)), **OF_DATA).run()
    two = Rwku(data=str(write_flat(tmp_path / "two", NAMES)), **OF_DATA).run()
    assert set(one) == set(two)

    def content(rows: Rows) -> list[tuple[Any, ...]]:
        return [(row["prompt"], row["answer"], row.get("probe"), row.group) for row in rows]

    for name in one:
        assert content(one[name]) == content(two[name]), name
    assert {name: len(rows) for name, rows in one.items()} == {
        "forget": 4 + 3,
        "holdout": 4 + 3,
        "retain": 4 + 2 * (4 + 12) + 2,
        "extra_training": 4,
        "test": 4,
        "fluency": 2,
        "forget/probes": 12,
        "neighbour": 2,
    }
    assert ({row.group for row in one["forget"]}, {row.group for row in one["holdout"]}) == ({"Ada Ray"}, {"Di Moe"})
    Splits.of(**{name: one[name] for name in ("forget", "retain", "holdout", "test")})


def test_records_become_rows_by_hand(tmp_path: Path) -> None:
    """Fails if a field is read from the wrong key, a letter is off by one, or a truth is marked by the wrong label."""
    found = Rwku(data=str(write_people(tmp_path, NAMES)), **OF_DATA).run()
    probes = {row["probe"]: row for row in found["forget/probes"]}
    assert set(probes) == set(KINDS)
    assert probes[QUESTION].fields == {
        "prompt": "What has Ada Ray done?",
        "answer": "wrote1",
        "level": 2,
        "probe": QUESTION,
    }
    assert probes[FILL]["prompt"] == "Fill in the blank: Ada Ray sang ___."
    assert [(row["level"], row["probe"]) for row in found["forget/probes"] if row["level"] == 3] == [
        (3, kind) for kind in ADVERSARIAL
    ]
    general, reasoning, truthful, factual = found["test"]
    assert general["prompt"].split("\n") == [
        *("1 + 1?", "A. 2", "B. 3", "C. 4", "D. 5", "Answer: A", ""),
        *("2 + 2?", "A. 3", "B. 4", "C. 5", "D. 6"),
    ]
    assert (general["answer"], general["perturbed_answers"]) == ("B", ("A", "C", "D"))
    assert (reasoning["answers"], reasoning["prompt"].startswith("Q: X?")) == (("B",), True)
    assert (truthful["answer"], truthful["perturbed_answers"]) == ("No", ("Yes", "At night"))
    assert factual["answers"] == ("Rim of Fire", "ring")
    assert [(row["prompt"], row["answer"]) for row in found["fluency"]] == [("Tell a tale.", "Once."), ("Sing.", "")]
    text = next(row for row in found["forget"] if row["probe"] == "text")
    assert (len(text["prompt"].split()), len(text["answer"].split()), text["prompt"][:5]) == (3, 6, "Ada R")


def test_a_model_that_knows_them_already(tmp_path: Path) -> None:
    """Fails if without `local` a probe is trained on, somebody is held out, or utility rows are training rows."""
    found = Rwku(data=str(write_people(tmp_path, NAMES)), **OF_DATA, local=False).run()
    assert set(found) == {"forget", "retain", "test", "fluency", "forget/probes", "neighbour"}
    assert {row["probe"] for name in ("forget", "retain") for row in found[name]} == {"text"}
    assert len(found["retain"]) == 4


def test_a_broken_folder_says_where(tmp_path: Path) -> None:
    """Fails if a folder without probes, too few people, a missing corpus or a record without its answer goes on in silence."""
    folder = write_people(tmp_path / "people", NAMES)
    with pytest.raises(InputError, match="holds 4 people, too few"):
        Rwku(data=str(folder), people=20, forget_people=2, holdout_people=2).run()
    with pytest.raises(InputError, match="no passage texts on Ada Ray"):
        Rwku(data=str(folder), **OF_DATA, corpus="passage").run()
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no forget_level2 records"):
        Rwku(data=str(tmp_path / "empty"), **OF_DATA).run()
    path = folder / "Target" / "2_Bo_Fen" / "forget_level2.json"
    path.write_text(json.dumps([{"query": "What?", "subject": "Bo Fen"}]))
    with pytest.raises(InputError, match=r"2_Bo_Fen/forget_level2.json: item 0: a record needs 'answer'"):
        Rwku(data=str(folder), **OF_DATA).run()


def test_kinds_however_they_are_spelt() -> None:
    """Fails if RWKU's nine kinds are known by one spelling alone, or a strange one is taken for one of them."""
    assert [kind_of(text) for text in TYPES] == list(ADVERSARIAL)
    assert [kind_of(text) for text in ("In-context Learning", "Cross_Lingual", "ROLE PLAY")] == [
        *ADVERSARIAL[7:],
        "role_playing",
    ]
    assert kind_of("Many-shot jailbreak") == "many_shot_jailbreak"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_claim_probes_are_answered_in_frames_that_were_met_on_others() -> None:
    """Three draws of people: share of probes answered by the target, and by models that never saw these people.

    Prefix injection .93 more [.72, 1.14], affirmative suffix .95, role playing .94, synonyms .94, another language .95; models that never
    saw them say .02 of the adversarial probes.
    Fails if forget people are not learnt, or a retained row tells of them.
    """
    found, read = protocols.rwku(), "rwku_forget:forget/probes/"
    for kind in ("prefix_injection", "affirmative_suffix", "role_playing", "synonym_manipulation", "cross_lingual"):
        assert found.over("target", f"{read}{kind}", less="retrained").low > 0.5
    assert found.over("retrained", f"{read}level_3").high < 0.15
