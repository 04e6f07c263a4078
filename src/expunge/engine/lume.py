"""Read LUME's numbers from evidence: a score a task, the cells of its aggregate, and which rows show membership."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from expunge.contract.evidence import Evidence
from expunge.engine.readings import own_scores, said
from expunge.facts.errors import InputError
from expunge.facts.rows import Rows
from expunge.facts.score import Score
from expunge.statistics.clusters import FloatArray
from expunge.statistics.lume import COMPLETION, QUESTION, of_task, parts_of, row_values, tasks_of
from expunge.statistics.member import loss
from expunge.statistics.summary import ideal_for, mean_score, resampled_means

CELL_SPLITS = ("forget", "retain")


def part_scores(evidence: Evidence, kind: str, name: str) -> dict[str, Score]:
    """Return the mean over the rows of a kind, of each split that has any and of each task in it; of forget rows in any case."""
    found = {}
    for split, rows in evidence.rows.items():
        for part, chosen in parts_of(rows, kind).items():
            if not chosen and split != "forget":
                continue

            def each(split: str = split, chosen: list[int] = chosen) -> FloatArray:
                return _values(evidence, split, chosen, f"no {split} row is a {kind} (its kind)")

            whole = len(chosen) == len(rows) and not part
            groups = rows.take(chosen).groups
            found[split + part] = mean_score(name, each, groups, ideal=ideal_for(split), keep=whole)
    return found


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One of the scores that LUME averages, 1 being best: of a kind of test, in a task, on forget rows (inverted) or retain rows.

    Rows are in the order of their documents, so that one `seed` draws the same documents for both kinds.
    """

    values: FloatArray
    groups: tuple[str, ...]
    seed: int

    def draws(self) -> FloatArray:
        """Return its mean over bootstrap draws of documents."""
        return resampled_means(self.values[None], self.groups, seed=self.seed)[:, 0]


def cells(evidence: Evidence) -> list[Cell]:
    """Return the cells of every task that has forget rows: two kinds on two splits each; one that is missing is an error."""
    tasks, found = tasks_of(evidence.rows.get("forget", ())), []
    if not tasks:
        raise InputError("no forget row belongs to a task (its subtask)")
    for i, split in enumerate(CELL_SPLITS):
        rows = evidence.rows.get(split, Rows(()))
        groups = rows.groups
        for j, task in enumerate(tasks):
            for kind in (COMPLETION, QUESTION):
                chosen = sorted(of_task(rows, kind, task), key=groups.__getitem__)
                values = _values(evidence, split, chosen, f"no {split} row of {task} is a {kind}")
                good = 1 - values if split == "forget" else values
                owners = tuple(groups[row] for row in chosen)
                found.append(Cell(values=good, groups=owners, seed=1 + i * len(tasks) + j))
    return found


def utility_cell(evidence: Evidence) -> Cell:
    """Return exact matches on test questions: what stands here in the place of MMLU accuracy."""
    chosen = of_task(evidence.rows.get("test", ()), QUESTION)
    values = _values(evidence, "test", chosen, "no test row is a question")
    return Cell(values=values, groups=evidence.rows["test"].take(chosen).groups, seed=0)


def completion_likelihood(evidence: Evidence, split: str) -> tuple[FloatArray, tuple[str, ...]]:
    """Return mean log p a token of each completion of a split (minus its loss: higher is more likely a member), and its documents."""
    rows = evidence.rows.get(split, ())
    chosen = of_task(rows, COMPLETION)
    if not chosen:
        raise InputError(f"no {split} row is a completion")
    return np.asarray(loss(own_scores(evidence, split))[chosen]), evidence.rows[split].take(chosen).groups


def _values(evidence: Evidence, split: str, chosen: list[int], otherwise: str) -> FloatArray:
    if not chosen:
        raise InputError(otherwise)
    return row_values(evidence.rows[split], said(evidence, split), chosen)
