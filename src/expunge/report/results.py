"""The table of methods by metrics, with the anchors above them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from expunge.facts.record import Record
from expunge.facts.score import Score
from expunge.report.anchors import anchors, scores_of, together
from expunge.report.groups import Subject, judged
from expunge.report.words import guarded_words, number

IDEAL_WORDS = {"higher": "higher is better", "lower": "lower is better", "as_control": "near retrained", "none": ""}


FIRST = ("forget", "retain", "test", "utility", "")
"""Splits whose tables stand unfolded."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A number with its range over seeds or its interval; or the marks of the notes that say why there is none."""

    words: str = ""
    detail: str = ""
    value: float | None = None
    notes: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of a table of metrics."""

    label: str
    series: str
    seeds: int
    anchor: bool
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class Table:
    """All metrics of one split, variants beside them; `first` where a reader looks first."""

    split: str
    first: bool
    columns: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


def tables(found: Sequence[Subject], records: Sequence[Record]) -> tuple[Table, ...]:
    """Return one table a split, in the order in which the records measured them; anchors stand first."""
    rows = [(one.label, one.series, True, 1, one.scores) for one in anchors(records)]
    rows += [
        (one.label, one.series, False, len(one.records), subject_scores(one)) for one in found if not one.reference
    ]
    keys = list(dict.fromkeys((one.metric, one.split) for record in records for one in record.measurements))
    made = []
    for split in sorted(dict.fromkeys(base_of(of) for _, of in keys), key=lambda one: one not in FIRST):
        columns = [key for key in keys if base_of(key[1]) == split]
        notes: list[str] = []
        body = tuple(
            Row(
                label=label,
                series=series,
                seeds=seeds,
                anchor=anchor,
                cells=tuple(_cell(scores.get(key, ()), notes) for key in columns),
            )
            for label, series, anchor, seeds, scores in rows
        )
        heads = tuple((column_of(key), _ideal(records, key)) for key in columns)
        made.append(Table(split=split, first=split in FIRST, columns=heads, rows=body, notes=tuple(notes)))
    return tuple(made)


def subject_scores(subject: Subject) -> dict[tuple[str, str], tuple[Score, ...]]:
    """Return a method's scores by (metric, split), one a seed."""
    return together([scores_of(record, judged(record)) for record in subject.records])


def _cell(scores: Sequence[Score], notes: list[str]) -> Cell:
    """Return mean and range over seeds; for one score its own interval. Reasons go to `notes`, each once."""
    values = [score.value for score in scores if score.value is not None]
    marks = []
    for reason in dict.fromkeys(guarded_words(score.unscored) for score in scores if score.unscored is not None):
        if reason not in notes:
            notes.append(reason)
        marks.append(notes.index(reason) + 1)
    if not values:
        return Cell(words="unscored" if scores else "not measured", notes=tuple(marks))
    mean = sum(values) / len(values)
    detail = f"{number(min(values))} to {number(max(values))}" if len(values) > 1 else _interval(scores)
    return Cell(words=number(mean), detail=detail, value=mean, notes=tuple(marks))


def _interval(scores: Sequence[Score]) -> str:
    one = next(score for score in scores if score.value is not None)
    return f"{number(one.low)} to {number(one.high)}" if one.low is not None and one.high is not None else ""


def base_of(split: str) -> str:
    """Return the split that a measurement is of: `forget` of `forget/normalised`."""
    return split.partition("/")[0]


def column_of(key: tuple[str, str]) -> str:
    """Return a metric with the variant its split names: `probability/normalised` of (probability, forget/normalised)."""
    variant = key[1].partition("/")[2]
    return f"{key[0]}/{variant}" if variant else key[0]


def _ideal(records: Sequence[Record], key: tuple[str, str]) -> str:
    found = (one for record in records for one in record.measurements if (one.metric, one.split) == key)
    return ", ".join(sorted({IDEAL_WORDS[one.score.ideal] for one in found} - {""}))
