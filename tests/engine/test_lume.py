"""LUME's cells from evidence: which rows, which way up, which documents are drawn together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from expunge.contract.evidence import Evidence
from expunge.engine.lume import cells, utility_cell
from expunge.facts.errors import InputError
from expunge.facts.rows import Row, Rows


def rows(split: str, documents: int, tasks: Sequence[str] = ("Task1", "Task2"), questions: int = 2) -> Rows:
    """A completion and questions a document."""
    found = []
    for task in tasks:
        for i in range(documents):
            kinds = ["completion", *["question"] * questions]
            found += [
                Row(
                    id=f"{split}{task}{i}-{j}",
                    fields={"subtask": task, "kind": kind, "answer": "red lamp"},
                    group=f"{task}{i}",
                )
                for j, kind in enumerate(kinds)
            ]
    return Rows(tuple(found), split)


def evidence(said: dict[str, list[str]], **by_split: Rows) -> Evidence:
    return Evidence(name="m", role="unlearned", modality="text", rows=by_split, generations=said)


def test_cells_by_hand() -> None:
    """Task1's completions are half said, its questions answered, Task2's nothing.

    Fails if forget scores are not inverted, retain ones are, tasks are pooled, or a question counts as a completion.
    """
    there = rows("f", 1)
    said = ["red", "red lamp", "Red lamp ", "", "lamp red", "no"]
    made = evidence({"forget": said, "retain": said}, forget=there, retain=there)
    means = [float(cell.values.mean()) for cell in cells(made)]
    assert means == pytest.approx([1 - 0.5, 1 - 1, 1 - 0, 1 - 0, 0.5, 1.0, 0.0, 0.0])


def test_a_missing_cell_is_an_error() -> None:
    """Fails if the mean would be over the cells that happen to be there."""
    full, half = rows("f", 1), rows("r", 1, tasks=("Task1",))
    with pytest.raises(InputError, match="no retain row of Task2 is a completion"):
        cells(evidence({"forget": ["x"] * 6, "retain": ["x"] * 3}, forget=full, retain=half))
    with pytest.raises(InputError, match="no forget row belongs to a task"):
        cells(evidence({}, retain=full))
    with pytest.raises(InputError, match="no test row is a question"):
        utility_cell(evidence({"test": ["x"]}, test=full.take([0])))


def test_documents_are_drawn_whole_and_tasks_apart() -> None:
    """Where completion and questions of a document come out alike their draws are the same; tasks and splits are drawn by themselves.

    Fails if rows are drawn in place of documents, the kinds of a task by themselves, or two tasks by one draw.
    """
    known = rows("f", 12)
    said = ["red lamp" if int(str(row.group)[5:]) % 3 else "x" for row in known]
    found = cells(evidence({"forget": said, "retain": said}, forget=known, retain=known))
    draws = np.array([cell.draws() for cell in found])
    assert draws.shape == (8, 2000)
    together = np.corrcoef(draws)
    assert together[0, 1] == pytest.approx(1.0)
    assert together[4, 5] == pytest.approx(1.0)
    apart = [together[i, j] for i in (0, 2, 4, 6) for j in (0, 2, 4, 6) if i < j]
    assert max(abs(value) for value in apart) < 0.08
    assert draws[4].std() == pytest.approx(np.sqrt(2 / 9 / 12), rel=0.06)
