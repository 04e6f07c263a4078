"""What is left against what was kept, and the distributions behind the means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from expunge.facts.record import Measurement, Record
from expunge.facts.score import Score
from expunge.report.anchors import anchors, retrained_scores
from expunge.report.figures import Point, Sample, ecdf, scatter
from expunge.report.groups import Subject
from expunge.report.results import base_of, column_of, subject_scores
from expunge.report.words import number, plural, spaced

DISTRIBUTIONS = 4
"""How many metrics have their distribution drawn; the others are named."""
KEPT = ("test", "retain")
"""Splits whose rows must stay known, in the order a reader wants them."""
Key = tuple[str, str]
"""A metric and the split it was measured on."""


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A figure with its legend of (label, series), and what to say under it; no figure, then why."""

    title: str
    figure: Markup | None = None
    legend: tuple[tuple[str, str], ...] = ()
    words: str = ""


def tradeoff(found: Sequence[Subject], records: Sequence[Record]) -> Drawing:
    """Return the plot of a forget metric against a utility metric, with the range of the retrained models.

    Across: a metric of the forget rows that should fall or come near the control's. Up: a metric with `utility` in its
    name, else one of retain or test rows that should stay high. Metrics that the plan declares come before others.
    """
    title = "What is left against what was kept"
    across, up = _across(records), _up(records)
    if across is None or up is None:
        lacking = "of the forget rows" if across is None else "of utility"
        return Drawing(title=title, words=f"Not drawn: no scored metric {lacking} says which way is good.")
    rows = [row for row in _rows(found, records) if _values(row[2], across) and _values(row[2], up)]
    points = [_point(label, series, _values(scores, across), _values(scores, up)) for label, series, scores in rows]
    goal = _pairs(retrained_scores(records), across, up)
    xs, ys = [x for x, _ in goal], [y for _, y in goal]
    band = (min(xs), max(xs), min(ys), max(ys)) if goal else None
    words = (
        f"The bands are the range of {plural(len(goal), 'retrained model')}: the goal is where they cross."
        if goal
        else "No retrained model was measured, so there is no band."
    )
    return Drawing(
        title=title,
        figure=scatter(
            points,
            title=title,
            desc="; ".join(f"{point.label}: {number(point.x)} and {number(point.y)}" for point in points),
            x_label=_named(across),
            y_label=_named(up),
            band=band,
        ),
        legend=tuple((label, series) for label, series, _ in rows),
        words=f"{words} A point is the mean over seeds; whiskers are their range.",
    )


def distributions(found: Sequence[Subject], records: Sequence[Record]) -> tuple[tuple[Drawing, ...], tuple[str, ...]]:
    """Return a distribution a metric with one number a forget row, truth ratios first, and the metrics not drawn."""
    rows = _rows(found, records)
    kept = [one for one in _measured(records) if one.split == "forget" and one.score.per_example]
    metrics = sorted(dict.fromkeys(one.metric for one in kept), key=lambda name: "truth_ratio" not in name)
    drawn = []
    for metric in metrics[:DISTRIBUTIONS]:
        samples = [
            Sample(label=label, series=series, values=score.per_example)
            for label, series, scores in rows
            for score in scores.get((metric, "forget"), ())[:1]
            if score.per_example
        ]
        title = f"{spaced(metric)}, row by row"
        desc = f"share of the {plural(len(samples[0].values), 'forget row')} at or below each value, a line a model"
        figure = ecdf(samples, title=title, desc=desc, x_label=spaced(metric))
        drawn.append(Drawing(title=title, figure=figure, legend=tuple((one.label, one.series) for one in samples)))
    return tuple(drawn), tuple(metrics[DISTRIBUTIONS:])


def _rows(
    found: Sequence[Subject], records: Sequence[Record]
) -> list[tuple[str, str, Mapping[Key, tuple[Score, ...]]]]:
    """Return (label, series, scores) of the anchors that are one model, then of the methods."""
    held = [(one.label.partition(" (")[0], one.series, one.scores) for one in anchors(records) if one.key != "everyone"]
    return [*held, *((one.label, one.series, subject_scores(one)) for one in found if not one.reference)]


def _measured(records: Sequence[Record]) -> list[Measurement]:
    return [one for record in records for one in record.measurements if one.score.is_scored]


def _across(records: Sequence[Record]) -> Key | None:
    wanted = ("lower", "as_control")
    keys = [(m.metric, m.split) for m in _measured(records) if m.split == "forget" and m.score.ideal in wanted]
    return _declared_first(keys, records)


def _up(records: Sequence[Record]) -> Key | None:
    keys = [(m.metric, m.split) for m in _measured(records) if m.split in KEPT and m.score.ideal == "higher"]
    named = [(m.metric, m.split) for m in _measured(records) if "utility" in m.metric and m.score.ideal == "higher"]
    return next(iter(named), None) or _declared_first(keys, records)


def _declared_first(keys: Sequence[Key], records: Sequence[Record]) -> Key | None:
    """Return the first key whose metric the plan declares as one to compare by, else the first."""
    declared = [key for name in records[0].thresholds.indistinguishable_metrics for key in keys if key[0] == name]
    return next(iter([*declared, *keys]), None)


def _pairs(models: Sequence[Mapping[Key, Score]], across: Key, up: Key) -> list[tuple[float, float]]:
    pairs = [(scores[across].value, scores[up].value) for scores in models if across in scores and up in scores]
    return [(x, y) for x, y in pairs if x is not None and y is not None]


def _values(scores: Mapping[Key, tuple[Score, ...]], key: Key) -> list[float]:
    return [score.value for score in scores.get(key, ()) if score.value is not None]


def _named(key: Key) -> str:
    rows = f" ({spaced(base_of(key[1]))} rows)" if key[1] in ("forget", *KEPT) else ""
    return f"{spaced(column_of(key))}{rows}"


def _point(label: str, series: str, xs: Sequence[float], ys: Sequence[float]) -> Point:
    return Point(
        label=label,
        series=series,
        x=sum(xs) / len(xs),
        y=sum(ys) / len(ys),
        x_range=(min(xs), max(xs)) if len(xs) > 1 else None,
        y_range=(min(ys), max(ys)) if len(ys) > 1 else None,
    )
