"""Say what the rows of a table are to be mapped to: one of some classes, or a number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np

from expunge.facts.errors import InputError, nearest
from expunge.facts.rows import Row, Rows
from expunge.modalities.array_tasks import Classification, Regression

TASKS = ("classification", "regression")
MOST_CLASSES = 100_000
"""More outputs than this are taken for numbers that are no classes: a network would be made of them."""


def task_of(rows: Mapping[str, Rows], settings: Mapping[str, Any]) -> Classification | Regression:
    """Return the task of a table: `settings` may name it (`task`, and for a regression `mean` and `std`), else the retain labels say.

    Labels that are all whole numbers are classes; one with a fraction part in its type makes them numbers to be predicted. Those are
    standardised by mean and standard deviation of the retain rows: of all training rows they would be an artefact that saw the forget
    rows. A label that is no number, or is NaN, is refused by its row, in every split.
    """
    labels = {name: np.array([_number(name, row) for row in split]) for name, split in rows.items()}
    task = settings.get("task") or ("classification" if _whole(rows["retain"]) else "regression")
    if task not in TASKS:
        raise InputError(
            f"there is no task {task!r}; the nearest is {nearest(str(task), TASKS)!r}",
            do=f"use one of: {', '.join(TASKS)}",
        )
    if task == "classification":
        unused = [name for name in ("mean", "std") if name in settings]
        if unused:
            raise InputError(
                f"model.settings.{unused[0]} belongs to a regression", do='set model.settings.task = "regression"'
            )
        return Classification(classes=classes_of(rows))
    retain = labels["retain"]
    return Regression(mean=float(settings.get("mean", retain.mean())), std=float(settings.get("std", retain.std())))


def classes_of(rows: Mapping[str, Rows]) -> int:
    """Return the number of classes: of every split, so that a forgotten class keeps its output; a label with a fraction is refused."""
    largest = 0
    for name, split in rows.items():
        for row in split:
            value = _number(name, row)
            if value != int(value):
                raise InputError(
                    f"{name} row {row.id!r}: the label {value:g} is no whole number, and classes are",
                    do='set model.settings.task = "regression" to predict it',
                )
            largest = max(largest, int(value))
    if largest >= MOST_CLASSES:
        raise InputError(
            f"the largest label is {largest}: that would be a network of {1 + largest} classes",
            causes=("the labels are numbers to be predicted", "one label is mistyped"),
            do='number the classes from 0, or set model.settings.task = "regression"',
        )
    return 1 + largest


def _whole(rows: Rows) -> bool:
    return all(isinstance(row["label"], Integral) for row in rows)


def _number(split: str, row: Row) -> float:
    label = row.get("label")
    if isinstance(label, bool) or not isinstance(label, Real):
        raise InputError(
            f"{split} row {row.id!r}: the label {label!r} is no number", do="give a class number or a target"
        )
    value = float(label)
    if not math.isfinite(value):
        raise InputError(
            f"{split} row {row.id!r}: the target is {value}", do="leave the row out, or fill its target in"
        )
    return value
