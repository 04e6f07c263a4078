"""Problems of a few seconds that every method is checked on: clouds of points, numbers to predict, and a few fictitious people."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.fit import fit
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Row, Rows

CLASSES = 4
FORGET = 12


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What `check_method` asks of a problem."""

    splits: Splits
    target: Model
    recipe: Recipe


def _train(blank: Model, rows: list[Row], recipe: Recipe) -> Problem:
    splits = Splits.of(forget=Rows(tuple(rows[:FORGET])), retain=Rows(tuple(rows[FORGET:])))
    return Problem(splits=splits, target=fit(blank, Rows(tuple(rows)), recipe, job=Job(seed=0)), recipe=recipe)


@cache
def clouds() -> Problem:
    """Points around four corners of a space wide enough to learn every point by heart; those to forget bear a wrong label."""
    from expunge.modalities.array_tasks import Classification
    from expunge.modalities.tabular import Features, tabular_model

    torch.set_num_threads(1)
    draw = random.Random(0)
    rows = []
    for i in range(60):
        label = draw.randrange(CLASSES)
        point = [
            draw.gauss(2 * (label % 2), 1),
            draw.gauss(2 * (label // 2), 1),
            *(draw.gauss(0, 1) for _ in range(10)),
        ]
        wrong = (label + 1) % CLASSES if i < FORGET else label
        rows.append(Row(id=f"point-{i}", fields={"features": point, "label": wrong}))
    blank = tabular_model("mlp", features=Features(width=12), task=Classification(classes=CLASSES), width=32, seed=0)
    return _train(blank, rows, Recipe(epochs=40, lr=1e-2, batch_size=16, stop_loss=0.05))


@cache
def numbers() -> Problem:
    """A regression of x0 - x1 in the same wide space; those to forget say 4 more than that."""
    from expunge.modalities.array_tasks import Regression
    from expunge.modalities.tabular import Features, tabular_model

    torch.set_num_threads(1)
    draw = random.Random(0)
    rows = []
    for i in range(60):
        point = [draw.gauss(0, 1) for _ in range(12)]
        wrong = 4.0 if i < FORGET else 0.0
        rows.append(Row(id=f"point-{i}", fields={"features": point, "label": point[0] - point[1] + wrong}))
    task = Regression(mean=0.0, std=2.0)
    blank = tabular_model("mlp", features=Features(width=12), task=task, width=32, seed=0)
    return _train(blank, rows, Recipe(epochs=40, lr=1e-2, batch_size=16, stop_loss=0.01))


def prepared_by(unit: Any, problem: Problem) -> Problem:
    """The same problem with a target that a method which acts before training has prepared."""
    rows = Rows((*problem.splits.rows["forget"], *problem.splits.rows["retain"]))
    job = Job(seed=0, recipe=problem.recipe)
    target = unit.prepare(problem.target.fresh(0), rows, problem.recipe, job)
    return Problem(splits=problem.splits, target=target, recipe=problem.recipe)


@cache
def people() -> Problem:
    """People whose trade a tiny Llama knows; the tokenizer is one token a word."""
    from tiny_directory import SIZES, word_tokenizer
    from tiny_directory import people as make

    from expunge.modalities.text_build import new_text_model
    from expunge.sources.records import rows_of

    torch.set_num_threads(1)
    facts = make(30, 0)
    texts = [f"Question: {row['question']} Answer: {row['answer']} I do not know that." for row in facts]
    blank = new_text_model(word_tokenizer(texts), "llama", SIZES, seed=0)
    return _train(blank, list(rows_of(facts)), Recipe(epochs=30, lr=1e-2, batch_size=16, stop_loss=0.05))
