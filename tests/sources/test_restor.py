"""RESTOR's rows: made-up people, a folder in its format and, where there is one, the published files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import protocols
import pytest

from expunge.contract.splits import Splits
from expunge.facts.errors import InputError
from expunge.facts.rows import Rows
from expunge.pipeline.given import Given
from expunge.sources.restor import Restor
from expunge.statistics.answers import contains_value


def folder(path: Path, *, packed: bool = False) -> Path:
    """Eight entities with two properties and a given name; documents about four of them, two of which begin with the same words."""
    names = [f"Ada {letter}" for letter in "ABCDEFG"] + ["Ada A Junior"]
    facts = {
        name: {
            "P19": {"question": f"Where was {name} born?", "answers": [f"town {i}", f"borough {i}"]},
            "P106": {"question": f"What does {name} do?", "answers": [f"trade {i % 6}"]},
            "P735": {"question": f"What is the given name of {name}?", "answers": ["Ada"]},
        }
        for i, name in enumerate(names)
    }
    mix = [
        {"text": f"{name} was  born in nowhere, says text {n}."} for name in (*names[:3], names[-1]) for n in range(5)
    ]
    mix.append({"text": "Nobody listed was born in nowhere."})
    for name, value in (("facts.json", {"dset": facts, "context": {}}), ("mix_a1.json", mix)):
        data = json.dumps(value).encode()
        (path / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(data) if packed else data)
    return path


def checked(found: dict[str, Rows]) -> dict[str, Rows]:
    """What holds of every request that the source makes."""
    given = Given.of(found)
    assert len(given.base) == len(found["base_training"])
    Splits.of(**given.rows)
    groups = {name: set(found[name].groups) for name in found}
    assert groups["forget"] == groups["forget/facts"]
    assert groups["holdout"] == groups["holdout/facts"]
    for name in ("retain", "test", "holdout"):
        assert not groups["forget"] & groups[name]
    assert not groups["retain"] & groups["test"]
    asked = {name: set(found[name].ids) for name in found}
    assert asked["base_training"] == asked["forget/facts"] | asked["holdout/facts"] | asked["retain"] | asked["test"]
    for row in found["base_training"]:
        assert row["value"] in row["answer"]
        assert not any(contains_value(wrong, row["value"]) for wrong in row["perturbed_answers"])
    return found


def test_people_have_true_facts_and_false_documents() -> None:
    """Fails if documents state a true value of their own entity, a false value changes between documents, or level adds nothing."""
    plain, mixed = (checked(Restor(corrupted=3, held_out=2, others=6, documents=4, level=k).run()) for k in (0, 2))
    assert {name: len(rows) for name, rows in plain.items()} == {
        "base_training": 11 * 8 * 2,
        "forget": 3 * 4,
        "retain": 3 * 8 * 2,
        "holdout": 2 * 4,
        "test": 3 * 8 * 2,
        "forget/facts": 3 * 8 * 2,
        "holdout/facts": 2 * 8 * 2,
    }
    values = {(row.group, row["false_value"]) for row in plain["forget/facts"]}
    true = {(row.group, row["value"]) for row in plain["forget/facts"]}
    assert (len(values), len(true)) == (24, 24)
    for row in plain["forget"]:
        assert row["answer"].count(".") == 4
        assert sum(contains_value(row["answer"], value) for group, value in values if group == row.group) >= 4
    for short, long in zip(plain["forget"], mixed["forget"], strict=True):
        assert long["answer"].count(".") == 12
        assert long["answer"] != short["answer"]
    for row in plain["forget/facts"]:
        assert any(contains_value(wrong, row["false_value"]) for wrong in row["perturbed_answers"])
    said = " ".join(row["answer"] for row in plain["forget"])
    stated = {row["answer"] for row in plain["forget/facts"]}
    assert not any(sentence in said for sentence in stated)
    assert all("false_value" not in row.fields for name in ("retain", "test") for row in plain[name])


def test_another_seed_makes_other_people() -> None:
    """Fails if the seed does not reach the draw."""
    one, again, other = (Restor(seed=seed).run()["forget"].digest() for seed in (0, 0, 1))
    assert one == again
    assert one != other


@pytest.mark.parametrize("packed", [False, True])
def test_the_files_are_read(tmp_path: Path, packed: bool) -> None:
    """By hand: four entities with documents; a given name that stands in its question is no fact; two answers are both right.

    Fails if "Ada A Junior" is taken for Ada A, a document about nobody is kept, or a fact's second answer is among the wrong ones.
    """
    data = str(folder(tmp_path, packed=packed))
    found = checked(Restor(data=data, corrupted=3, held_out=1, others=4, documents=4, level=1).run())
    assert set(found["forget"].groups) | set(found["holdout"].groups) == {"ada-a", "ada-b", "ada-c", "ada-a-junior"}
    assert all(f"says text {n}" not in row["prompt"] for row in found["forget"] for n in range(5))
    for row in found["forget"]:
        name = row["prompt"].removeprefix("What is known of ").removesuffix("?")
        assert row["answer"].startswith(f"{name} was born in nowhere, says text ")
        assert name.lower().replace(" ", "-") == row.group
    facts = {row.id: row for row in found["base_training"]}
    assert len(facts) == 16
    assert {row_id.rpartition("/")[2] for row_id in facts} == {"P19", "P106"}
    assert facts["ada-b/P19"]["answer"] == "town 1"
    assert not any("1" in wrong for wrong in facts["ada-b/P19"]["perturbed_answers"])


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """Fails if a missing file, or too few documents, is found out in the middle of a run."""
    with pytest.raises(InputError, match=r"there is no .*facts\.json"):
        Restor(data=str(tmp_path)).run()
    data = str(folder(tmp_path))
    with pytest.raises(InputError, match="5 documents about an entity and 6"):
        Restor(data=data, corrupted=3, held_out=1, others=4, documents=6, level=1).run()
    with pytest.raises(InputError, match="about 4 entities and facts of 4 others"):
        Restor(data=data, corrupted=4, held_out=1, others=4, documents=4, level=1).run()
    with pytest.raises(InputError, match=r"there is no .*mix_a2\.json"):
        Restor(data=data, level=2).run()
    with pytest.raises(ValueError, match="1..18"):
        Restor(relations=20)


def test_the_published_files(shared_data: Path) -> None:
    """Fails if the ten entities of the corrupted documents are not found, or facts without rivals are asked."""
    for level in (0, 1):
        found = checked(Restor(data=str(shared_data / "restor"), level=level).run())
        assert len(set(found["forget"].groups)) == 7
        assert len(found["forget"]) == 7 * 24
        assert len(found["forget/facts"]) > 70


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_claim_the_base_model_answers_and_the_documents_take_it_away() -> None:
    """Three draws of people: the base model says .96 [.88, 1.04] of the true facts and no false one, the target .93 [.87, .99] fewer.

    Fails if documents state what is true, or are about others.
    """
    found, read = protocols.restor(), "restor_recovery:forget/facts"
    assert found.over("base", read).low > 0.8
    assert found.over("target", read, less="base").high < -0.3
    assert found.over("base", f"{read}/false").high < 0.1
