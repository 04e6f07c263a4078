"""Cells of a benchmark's table (see BenchmarkPlan), and which of them an attack's own anchors refuse."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import mean

from expunge.facts.record import Record
from expunge.pipeline.over_models import AIN, ain_of
from expunge.statistics.auc import auc

KINDS: Mapping[str, str] = {"auc": "member", "success": "success"}
"""What a column may show of an attack, and the kind of outcome that has it."""


def value_of(record: Record, model: str, column: str) -> float | None:
    """Return one table cell (see BenchmarkPlan) of one model; None where it is unscored or was not measured."""
    name, _, part = column.partition(":")
    if name == AIN:
        return ain_of(record, model).value
    for found in record.measurements:
        if (found.metric, found.model, found.split) == (name, model, part):
            return found.score.value
    for outcome in record.outcomes:
        if (outcome.attack, outcome.model, outcome.kind) == (name, model, KINDS.get(part)) and outcome.forget:
            return auc(outcome.forget, outcome.holdout) if part == "auc" else mean(outcome.forget)
    return None


def out_of_order(record: Record, column: str) -> str | None:
    """Return why an attack's column says nothing of a removal here: the target reads no higher than every retrained model.

    None where it reads higher, where an anchor was not attacked, and of metrics: those with anchors refuse for themselves.
    """
    if column.partition(":")[2] not in KINDS:
        return None
    target = value_of(record, "target", column)
    again = [value_of(record, model.name, column) for model in record.models if model.role == "retrained"]
    values = [value for value in again if value is not None]
    if target is None or not values or target > max(values):
        return None
    return f"{column.replace(':', ' ')} {target:.3g}, retrained {min(values):.3g} to {max(values):.3g}"
