"""Every forget row with its numbers under each method: row ids and numbers, text only where it was handed over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from expunge.facts.record import Outcome, Record, Step
from expunge.report.anchors import Scores, retrained_scores, scores_of
from expunge.report.groups import Subject, judged
from expunge.report.words import guarded_words, number
from expunge.verdict.roles import controls_of, key_of, name_of, outcomes_of, target_of

MAX_ROWS = 400
MAX_CELLS = 38_000
"""The rows of a page hold no more numbers than this: about two thirds of a megabyte."""
_STEPS: tuple[Step, ...] = ("behavioural", "resistant", "guard_off")


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One line of a row's table: a number a column, in the order of `Drill.columns`."""

    name: str
    cells: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class RowView:
    """One forget row: how much more than from the control came out at worst, under each method."""

    id: str
    group: str
    text: str | None
    worst: tuple[tuple[str, str], ...]
    measures: tuple[Measure, ...]


@dataclass(frozen=True, kw_only=True)
class Drill:
    """The rows shown, which of how many, and what every column is."""

    columns: tuple[str, ...]
    methods: tuple[tuple[str, str], ...]
    rows: tuple[RowView, ...]
    total: int
    words: str


@dataclass(frozen=True, kw_only=True)
class _Column:
    """Numbers of one model, by what was measured; `above` is success less the control's, attack by attack."""

    label: str
    series: str
    values: Mapping[str, Sequence[float]]
    above: Sequence[Sequence[float]]


def drill(
    found: Sequence[Subject], records: Sequence[Record], with_text: Mapping[str, str] | None, *, cells: int = MAX_CELLS
) -> Drill | None:
    """Return the rows in which most came out above the control, worst first; None where no number a row was kept.

    One seed a method is shown, the first. Rows are cut to hold `cells` numbers, never numbers of a row.
    """
    split = next((one for one in records[0].splits if one.name == "forget"), None)
    total = split.n if split is not None else 0
    methods = [_method(one, total) for one in found if not one.reference]
    columns = [one for one in (_target(records, total), *methods, _control(records, total)) if one.values]
    names = list(dict.fromkeys(name for column in columns for name in column.values))
    if split is None or not names or not methods:
        return None
    ids = split.ids if len(split.ids) == total else tuple(f"forget[{index}]" for index in range(total))
    groups = tuple(str(group) for group in split.groups) if len(split.groups) == total else ("",) * total
    worst = np.array([_most(column, total) for column in methods])
    known = np.nan_to_num(worst, nan=-2.0)
    order = np.lexsort((-known.sum(axis=0), -known.max(axis=0)))
    kept = order[: max(1, min(MAX_ROWS, cells // (len(names) * len(columns))))]
    rows = tuple(
        RowView(
            id=ids[index],
            group=groups[index],
            text=None if with_text is None else with_text.get(ids[index]),
            worst=tuple((_tone(value), "" if np.isnan(value) else number(float(value))) for value in worst[:, index]),
            measures=tuple(
                Measure(name=name, cells=tuple(_at(column, name, index) for column in columns)) for name in names
            ),
        )
        for index in (int(one) for one in kept)
    )
    return Drill(
        columns=tuple(column.label for column in columns),
        methods=tuple((column.label, column.series) for column in methods),
        rows=rows,
        total=total,
        words=_words(found, len(rows), total, known=len(split.ids) == total),
    )


def _method(subject: Subject, total: int) -> _Column:
    record = subject.records[0]
    name = judged(record)
    outcomes = [one for step in _STEPS for one in outcomes_of(record, name, step).values()] if name else []
    controls = [_control_rows(record, one, total) for one in outcomes]
    above = [
        [mine - theirs for mine, theirs in zip(one.forget, rows, strict=True)]
        for one, rows in zip(outcomes, controls, strict=True)
        if one.kind == "success" and len(one.forget) == total and rows is not None
    ]
    return _Column(
        label=subject.label,
        series=subject.series,
        values={**_outcome_values(outcomes, total), **_score_values(scores_of(record, name), total)},
        above=above,
    )


def _target(records: Sequence[Record], total: int) -> _Column:
    record = next((one for one in records if target_of(one) is not None), records[0])
    name = target_of(record)
    outcomes = [one for step in _STEPS for one in outcomes_of(record, name, step).values()]
    values = {**_outcome_values(outcomes, total), **_score_values(scores_of(record, name), total)}
    return _Column(label="do nothing", series="target", values=values, above=())


def _control(records: Sequence[Record], total: int) -> _Column:
    """Return the mean of the control models, row by row."""
    record = records[0]
    outcomes = [one for step in _STEPS for one in outcomes_of(record, judged(record), step).values()]
    values: dict[str, Sequence[float]] = {}
    for one in outcomes:
        rows = _control_rows(record, one, total)
        if rows is not None:
            values[_named(one)] = rows
    kept = [_score_values(scores, total) for scores in retrained_scores(records)]
    for name in dict.fromkeys(name for scores in kept for name in scores):
        values[name] = [float(value) for value in np.mean([scores[name] for scores in kept if name in scores], axis=0)]
    return _Column(label="control (mean)", series="control", values=values, above=())


def _control_rows(record: Record, outcome: Outcome, total: int) -> Sequence[float] | None:
    """Return the control models' mean of the same question, a number a row; None where the control has none."""
    step: Step = "behavioural" if outcome.step == "guard_off" else outcome.step
    found = [outcomes_of(record, name, step).get(key_of(outcome)) for name in controls_of(record)]
    rows = [one.forget for one in found if one is not None and len(one.forget) == total]
    return [float(value) for value in np.mean(rows, axis=0)] if rows else None


def _outcome_values(outcomes: Sequence[Outcome], total: int) -> dict[str, Sequence[float]]:
    return {_named(one): one.forget for one in outcomes if len(one.forget) == total and total}


def _score_values(scores: Scores, total: int) -> dict[str, Sequence[float]]:
    found: dict[str, Sequence[float]] = {}
    for (metric, split), score in scores.items():
        rows = score.per_example
        if split == "forget" and rows is not None and len(rows) == total and total:
            found[f"{guarded_words(metric)} (metric)"] = rows
    return found


def _named(outcome: Outcome) -> str:
    kind = "member score" if outcome.kind == "member" else "success"
    guard = ", guard off" if outcome.step == "guard_off" else ""
    return f"{guarded_words(name_of(outcome))} ({kind}{guard})"


def _most(column: _Column, total: int) -> list[float]:
    return [float(value) for value in np.max(column.above, axis=0)] if column.above else [float("nan")] * total


def _at(column: _Column, name: str, index: int) -> str:
    rows = column.values.get(name)
    return "" if rows is None else number(float(rows[index]))


def _tone(value: float) -> str:
    if np.isnan(value):
        return "empty"
    return "t3" if value > 0.5 else "t2" if value > 0.2 else "t1" if value > 0.05 else "t0"


def _words(found: Sequence[Subject], shown: int, total: int, *, known: bool) -> str:
    cut = "" if shown == total else f" The other {total - shown:,} rows are in the records, not on this page."
    seeds = " Of several seeds the first is shown." if any(len(one.records) > 1 for one in found) else ""
    ids = "" if known else " The records keep no row ids: rows are named by their place in the forget set."
    return f"{shown:,} of {total:,} forget rows, those first in which most came out above the control.{cut}{seeds}{ids}"
