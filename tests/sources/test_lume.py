"""LUME's rows, on made-up files of its format and, where there are any, on the real ones."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from expunge.contract.splits import Splits
from expunge.facts.errors import InputError
from expunge.facts.rows import Rows
from expunge.sources.lume import Lume

TASKS = {"Task1": 1, "Task2": 5}
"""Questions a document of each task."""


def records(file: str, documents: int, tasks: dict[str, int] | None = None) -> list[dict[str, str]]:
    """Records as in LUME's files: Task1's ids hold quotation marks; a document's completion, then its questions."""
    found = []
    for task, questions in (TASKS if tasks is None else tasks).items():
        for i in range(documents):
            name = f"{file[0]}{task[-1]}-{i:04d}"
            document = f'"{name}"' if task == "Task1" else name
            long = {"input": f"{name} begins one two three four", "output": f"five six seven of {name}"}
            found.append({"id": f"{document}sc1", **long, "task": task})
            found += [
                {"id": f"{document}qa{q}", "input": f"What is {q} of {name}?", "output": f"{name} {q}.", "task": task}
                for q in range(questions)
            ]
    return found


def write(folder: Path, name: str, found: list[dict[str, Any]], zipped: bool = True) -> None:
    text = "\n".join(json.dumps(record) for record in found)
    if zipped:
        (folder / f"{name}.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    else:
        (folder / f"{name}.jsonl").write_text(text)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("lume")
    write(made, "forget", records("forget", 6))
    write(made, "retain", records("retain", 14))
    return made


def small(folder: Path, **settings: Any) -> dict[str, Rows]:
    return Lume(data=str(folder), **{"holdout_documents": 3, "test_documents": 4, **settings}).run()


def documents(rows: Rows, task: str = "") -> set[str]:
    return {str(row.group) for row in rows if task in row["subtask"]}


def test_a_record_by_hand(folder: Path) -> None:
    """Fails if quotation marks stay in an id, a kind is mistaken, a question carries no value, or rows of one document are not one group."""
    rows = small(folder)["forget"]
    found = {row.id: row for row in rows}
    one, two = found["f1-0002sc1"], found["f1-0002qa0"]
    assert (one["kind"], one["subtask"], one.get("value"), one.group) == ("completion", "Task1", None, "f1-0002")
    assert (one["prompt"], one["answer"]) == ("f1-0002 begins one two three four", "five six seven of f1-0002")
    assert (two["kind"], two["value"], two.group) == ("question", "f1-0002 0.", "f1-0002")
    person = [row.id for row in rows if row.group == "f2-0001"]
    assert person == ["f2-0001sc1", *(f"f2-0001qa{q}" for q in range(5))]


def test_an_item_number_of_two_digits_counts(tmp_path: Path) -> None:
    """The published evaluation drops the last character of an id and looks for sc or qa, and so leaves out a tenth question.

    Fails if qa10 is refused, or read as another kind.
    """
    write(tmp_path, "forget", records("forget", 1, {"Task2": 11}))
    write(tmp_path, "retain", records("retain", 3, {"Task2": 1}))
    rows = small(tmp_path, holdout_documents=1, test_documents=1)["forget"]
    assert Counter(row["kind"] for row in rows) == {"completion": 1, "question": 11}
    assert rows[-1].id == "f2-0000qa10"


def test_documents_are_shared_out_whole(folder: Path) -> None:
    """Fails if a document stands in two splits, a task is short of documents, or test rows are not what every model trains on."""
    found = small(folder)
    Splits.of(**{name: found[name] for name in ("forget", "retain", "holdout", "test")})
    counts = {
        name: [len(documents(found[name], task)) for task in TASKS] for name in ("forget", "retain", "holdout", "test")
    }
    assert counts == {"forget": [6, 6], "retain": [7, 7], "holdout": [3, 3], "test": [4, 4]}
    groups = [documents(found[name]) for name in counts]
    assert len(set.union(*groups)) == sum(len(one) for one in groups) == 40
    assert all(group.startswith("f") for group in groups[0])
    assert found["extra_training"].ids == found["test"].ids
    assert Counter(row["kind"] for row in found["retain"]) == {"completion": 14, "question": 42}


def test_fewer_documents_are_the_first_of_more(folder: Path) -> None:
    """Fails if a smaller request is not inside a larger one with the same holdout rows, or the seed draws nothing."""
    found = [small(folder, forget_documents=n, retain_documents=4) for n in (2, 4)]
    assert documents(found[0]["forget"]) < documents(found[1]["forget"])
    assert found[0]["holdout"].digest() == found[1]["holdout"].digest()
    assert [len(documents(one["retain"], "Task1")) for one in found] == [4, 4]
    assert documents(small(folder, seed=1)["holdout"]) != documents(found[0]["holdout"])


def test_cuts_completions_only(folder: Path) -> None:
    """Fails if the first words of a prompt or the last of an answer are kept, or a question is cut."""
    rows = small(folder, prompt_words=2, answer_words=3)["forget"]
    found = {row.id: row for row in rows}
    assert (found["f1-0000sc1"]["prompt"], found["f1-0000sc1"]["answer"]) == ("three four", "five six seven")
    assert found["f1-0000qa0"]["prompt"] == "What is 0 of f1-0000?"


def test_tasks_and_plain_files(folder: Path, tmp_path: Path) -> None:
    """Fails if a task that was not asked for is read, or .jsonl gives other rows than .jsonl.gz."""
    assert {row["subtask"] for rows in small(folder, tasks="Task2").values() for row in rows} == {"Task2"}
    write(tmp_path, "forget", records("forget", 6), zipped=False)
    write(tmp_path, "retain", records("retain", 14), zipped=False)
    assert small(tmp_path)["retain"].digest() == small(folder)["retain"].digest()


def test_bad_requests_are_refused(folder: Path, tmp_path: Path) -> None:
    """Fails if rows are made up where documents, a file, a task, a field or a known kind are missing."""
    with pytest.raises(InputError, match=r"Task1 has 14 documents and holdout \+ test \+ retain take 15"):
        small(folder, retain_documents=8)
    with pytest.raises(InputError, match="take 8"):
        small(folder, forget_documents=8)
    with pytest.raises(InputError, match="no document of Task3"):
        small(folder, tasks="Task1,Task3")
    with pytest.raises(InputError, match="has no forget.jsonl.gz"):
        small(tmp_path)
    with pytest.raises(ValueError, match="holdout_documents and test_documents are at least 1"):
        Lume(holdout_documents=0)
    write(tmp_path, "retain", records("retain", 14))
    for broken, words in (({"id": "f-1mc0"}, "does not end in sc or qa"), ({"output": ""}, "needs 'output'")):
        write(tmp_path, "forget", [{**records("forget", 1)[0], **broken}])
        with pytest.raises(InputError, match=words):
            small(tmp_path)
    write(tmp_path, "forget", records("forget", 2, {"Task3": 2}))
    with pytest.raises(InputError, match="retain file has no document of Task3"):
        small(tmp_path)


def test_real_files(shared_data: Path) -> None:
    """Fails if a real record is lost or read as another kind, or real splits overlap. The part handed out has Task1 and Task2."""
    place = shared_data / "lume"
    if not place.is_dir():
        pytest.skip(f"no real data: {place} does not exist")
    found = Lume(data=str(place)).run()
    Splits.of(**{name: found[name] for name in ("forget", "retain", "holdout", "test")})
    kinds = {name: Counter((row["subtask"], row["kind"]) for row in found[name]) for name in ("forget", "retain")}
    assert kinds["forget"] == {
        ("Task1", "completion"): 129, ("Task1", "question"): 129,
        ("Task2", "completion"): 126, ("Task2", "question"): 630,
    }  # fmt: skip
    assert kinds["retain"]["Task1", "completion"] == 109 - 32
    assert kinds["retain"]["Task2", "question"] == (123 - 32) * 5
    assert not any('"' in row.id for rows in found.values() for row in rows)
