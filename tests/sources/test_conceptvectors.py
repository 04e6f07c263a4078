"""ConceptVectors' rows, from a file made here and, where there is one, the published part."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from classifiers import over
from concept_worlds import SEARCH, noised_at_random

from expunge.contract.apply import unlearn
from expunge.contract.job import Job
from expunge.contract.splits import Splits
from expunge.engine.fit import fit
from expunge.facts.errors import InputError
from expunge.facts.rows import Row, Rows
from expunge.methods.needle import Needle
from expunge.modalities.text_build import new_text_model, train_tokenizer
from expunge.sources.conceptvectors import Conceptvectors
from expunge.statistics.answers import said_successes
from expunge.testbeds.text import RECIPE, SIZES


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


@pytest.fixture
def published(shared_data: Path) -> Path:
    path = shared_data / "conceptvectors" / "llama2-7b_concepts_dev.json.gz"
    if not path.is_file():
        pytest.skip("ConceptVectors' file is not among the real data")
    return path


def test_the_published_part(published: Path) -> None:
    """Fails if the handed-out file is read otherwise than it is written: ten concepts, ten passages each but TensorFlow's one."""
    found = Conceptvectors(data=str(published), concept="William Shakespeare").run()
    Splits.of(**found)
    assert (len(found["forget"]), found["forget"][0]["block"], found["forget"][0]["unit"]) == (10, 18, 8683)
    assert len(set(found["retain"].groups)) == 9
    assert len(Conceptvectors(data=str(published), concept="TensorFlow").run()["forget"]) == 1


def short(row: Row) -> Row:
    """The first 30 words of a prompt and 16 of its answer: what a small model learns by heart in seconds."""
    cut = {"prompt": 30, "answer": 16}
    return row.replace(**{name: " ".join(str(row[name]).split()[:most]) for name, most in cut.items()})


def completed(model: Any, rows: Rows) -> float:
    """Share of passages whose answer comes out."""
    return float(said_successes(rows, model.generate(rows, max_new_tokens=64), 0.8).mean())


@pytest.mark.slow
def test_claim_a_model_completes_its_passages_and_noise_takes_more_than_the_concept(published: Path) -> None:
    """No 7B model is at hand: one of two layers learns the file's 91 passages by heart (.98 of them are completed), six concepts in turn.

    Noise on the 8 found vectors leaves .02 [-.03, .06] of the concept, and .08 [-.01, .17] of the rest: the concept goes, and nearly all goes
    with it. On 8 random vectors it leaves .27 and .26. What is learnt by heart in 512 vectors has none of its own.
    Fails if passages do not tell their concept, or the model is asked what it was not trained on.
    """
    found = Conceptvectors(data=str(published)).run()
    every = [short(row) for split in ("forget", "retain") for row in found[split]]
    tokenizer = train_tokenizer([f"{row['prompt']} {row['answer']}" for row in every], 1024)
    sizes = {**SIZES, "intermediate_size": 256, "max_position_embeddings": 512}
    recipe = RECIPE.model_copy(update={"epochs": 240, "batch_size": 16, "lr": 6e-3})
    model = fit(new_text_model(tokenizer, "llama", sizes, seed=0), Rows(tuple(every)), recipe, job=Job(), label="t")
    assert completed(model, Rows(tuple(every))) > 0.9
    draws = []
    for concept in sorted({str(row.group) for row in every})[:6]:
        forget, rest = (Rows(tuple(row for row in every if (row.group == concept) == own)) for own in (True, False))
        needled = unlearn(Needle(search=SEARCH), model, Splits.of(forget=forget, retain=rest), job=Job())[0]
        drawn = noised_at_random(model, 0)
        draws.append(
            {
                "concept": completed(needled, forget),
                "rest": completed(needled, rest),
                "concept, random": completed(drawn, forget),
                "rest, random": completed(drawn, rest),
            }
        )
    for name in draws[0]:
        over(draws, name)
    assert over(draws, "concept").high < 0.2
    assert over(draws, "concept", less="concept, random").high < 0
    assert over(draws, "rest", less="concept").high < 0.3
