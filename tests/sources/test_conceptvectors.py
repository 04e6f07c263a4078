"""ConceptVectors' rows, from a file made here and, where there is one, the published part."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from expunge.contract.splits import Splits
from expunge.facts.errors import InputError
from expunge.sources.conceptvectors import Conceptvectors


def concept(name: str, passages: int) -> dict[str, Any]:
    return {
        "Concept": name,
        "Layer": 7,
        "Dim": len(name),
        "QA": [f" What is {name}?\n", f"Who made {name}?"],
        "unrelated_QA": ["What is tea?"],
        "text_completion": [
            {"First_half": f"{name} begins {i}", "Second_half": f"and ends {i}"} for i in range(passages)
        ],
    }


def write(path: Path, value: Any) -> str:
    data = json.dumps(value).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return str(path)


@pytest.mark.parametrize("name", ["concepts.json", "concepts.json.gz"])
def test_passages_are_cut_where_the_file_cuts_them(tmp_path: Path, name: str) -> None:
    """Fails if halves change places, another concept is forgotten than asked for, or the vector's place is lost."""
    data = write(tmp_path / name, [concept("Tea pot", 2), concept("Cup", 3)])
    found = Conceptvectors(data=data).run()
    assert {split: len(rows) for split, rows in found.items()} == {"forget": 2, "retain": 3}
    assert dict(found["forget"][1].fields) == {
        "prompt": "Please complete the following paragraph: Tea pot begins 1",
        "answer": "and ends 1",
        "block": 7,
        "unit": 7,
    }
    assert found["forget"].groups == ("tea-pot", "tea-pot")
    other = Conceptvectors(data=data, concept="Cup").run()
    assert (len(other["forget"]), other["forget"][0]["unit"]) == (3, 3)
    assert other["retain"].ids == found["forget"].ids


def test_questions_come_with_the_targets_own_answers(tmp_path: Path) -> None:
    """Fails if a question without an answer is let through, or unrelated questions are taken for the concept's."""
    data = write(tmp_path / "c.json", [concept("Cup", 1), concept("Tea", 1)])
    known = {"What is Cup?": "A vessel.", "Who made Cup?": "A potter.", "What is tea?": "A drink."}
    found = Conceptvectors(data=data, answers=write(tmp_path / "a.json", known)).run()
    assert [(row["prompt"], row["answer"]) for row in found["forget/questions"]] == list(known.items())[:2]
    assert [(row["prompt"], row["answer"]) for row in found["test"]] == [("What is tea?", "A drink.")]
    with pytest.raises(InputError, match="none to 'Who made Cup"):
        Conceptvectors(data=data, answers=write(tmp_path / "b.json", {"What is Cup?": "A vessel."})).run()


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """Fails if a missing file or an unknown concept is found out in the middle of a run."""
    with pytest.raises(InputError, match="reads a published file"):
        Conceptvectors().run()
    with pytest.raises(InputError, match="there is no file"):
        Conceptvectors(data=str(tmp_path / "none.json")).run()
    data = write(tmp_path / "c.json", [concept("Cup", 1)])
    with pytest.raises(InputError, match="no concept 'Mug'"):
        Conceptvectors(data=data, concept="Mug").run()


def test_the_published_part(shared_data: Path) -> None:
    """Fails if the handed-out file is read otherwise than it is written: ten concepts, ten passages each but TensorFlow's one."""
    path = shared_data / "conceptvectors" / "llama2-7b_concepts_dev.json.gz"
    if not path.is_file():
        pytest.skip("ConceptVectors' file is not among the real data")
    found = Conceptvectors(data=str(path), concept="William Shakespeare").run()
    Splits.of(**found)
    assert (len(found["forget"]), found["forget"][0]["block"], found["forget"][0]["unit"]) == (10, 18, 8683)
    assert len(set(found["retain"].groups)) == 9
    assert len(Conceptvectors(data=str(path), concept="TensorFlow").run()["forget"]) == 1
