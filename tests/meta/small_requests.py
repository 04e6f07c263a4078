"""Small requests on a table of 32 points, and the methods that serve images or tables run on them."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import torch
from meta_problems import CLASSES, Problem, prepared_by
from test_contract_of_methods import method_for

from expunge.contract.apply import unlearn
from expunge.contract.job import Job
from expunge.contract.registry import units
from expunge.contract.splits import Splits
from expunge.engine.fit import fit
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Row, Rows
from expunge.modalities.array_tasks import Classification, Regression
from expunge.modalities.tabular import Features, tabular_model

METHODS = {name: unit for name, unit in units("method").items() if {"vision", "tabular"} & set(unit.about.modalities)}
OWN: dict[str, dict[str, Any]] = {"sisa": {"shards": 4}, "s3t": {"shards": 8}, "blindspot": {"proxy_epochs": 2}}
"""Fewer parts for fewer rows than in the contract's test."""
RECIPE = Recipe(epochs=15, lr=1e-2, batch_size=8)


def points(n: int, name: str = "point", *, numbers: bool = False) -> list[Row]:
    """Return points around four corners; a number to be predicted instead of the corner where `numbers`."""
    draw = random.Random(1)
    found = []
    for i in range(n):
        label = i % CLASSES
        point = [draw.gauss(3 * (label % 2), 1), draw.gauss(3 * (label // 2), 1), *(draw.gauss(0, 1) for _ in range(6))]
        found.append(
            Row(id=f"{name}-{i}", fields={"features": point, "label": point[0] - point[1] if numbers else label})
        )
    return found


@cache
def target(numbers: bool = False) -> Any:
    """Return a model trained on 32 rows."""
    task = Regression(mean=0.0, std=2.0) if numbers else Classification(classes=CLASSES)
    blank = tabular_model("mlp", features=Features(width=8), task=task, width=16, seed=0)
    return fit(blank, Rows(tuple(points(32, numbers=numbers))), RECIPE, job=Job(seed=0))


def request(forget: list[Row], retain: list[Row], *, numbers: bool = False) -> Problem:
    splits = Splits.of(forget=Rows(tuple(forget)), retain=Rows(tuple(retain)) if retain else None)
    return Problem(splits=splits, target=target(numbers), recipe=RECIPE)


def ran(name: str, problem: Problem) -> tuple[Problem, Any, Any]:
    """Return the problem with the target the method starts from, what the method made, and the facts."""
    torch.set_num_threads(1)
    method = method_for(METHODS[name], **OWN.get(name, {}))
    if method.about.before_training:
        rows = Splits({"forget": problem.splits.rows["forget"], "retain": problem.splits.rows.get("retain", Rows(()))})
        prepared = prepared_by(method, Problem(splits=rows, target=problem.target, recipe=problem.recipe))
        problem = Problem(splits=problem.splits, target=prepared.target, recipe=problem.recipe)
    return problem, *again(method, problem.target, problem.splits)


def again(method: Any, model: Any, splits: Splits) -> tuple[Any, Any]:
    """Run a method; the harness refuses weights that are not finite and a caller's model that changed."""
    return unlearn(method, model, splits, job=Job(seed=0, recipe=RECIPE))
