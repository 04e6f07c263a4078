"""Find the models that every number is read against: do nothing, retrained, a second retrained, untrained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from expunge.facts.record import Record
from expunge.facts.score import Score
from expunge.report.groups import REFERENCES, judged, models_of

Scores = Mapping[tuple[str, str], Score]
"""One model's scores by (metric, split)."""


@dataclass(frozen=True, kw_only=True)
class Anchor:
    """One anchor's row; several scores a cell where it stands for all retrained models together."""

    key: str
    label: str
    series: str
    scores: Mapping[tuple[str, str], tuple[Score, ...]]


def anchors(records: Sequence[Record]) -> tuple[Anchor, ...]:
    """Return the anchors that were measured, in the order of a table.

    Each is found by its role among the records' models, else by its reference record.
    """
    reference = {one.method.name: scores_of(one, judged(one)) for one in records if one.method.name in REFERENCES}
    retrained = retrained_scores(records)
    first = retrained[0] if retrained else reference.get("retrained", {})
    second = retrained[1] if len(retrained) > 1 else reference.get("second_retrained", {})
    rows = [
        _anchor(
            "target", "do nothing (target)", "target", _first(records, "target") or reference.get("do_nothing", {})
        ),
        _anchor("retrained", "retrained", "control", first),
        _anchor("second", "second retrained (noise floor)", "control", second),
        Anchor(
            key="everyone",
            label=f"all {len(retrained)} retrained, mean",
            series="control",
            scores=together(retrained) if len(retrained) > 2 else {},
        ),
        _anchor("never", "never trained on the forget rows", "control", _first(records, "never_trained")),
        _anchor("base", "base (before forget and retain rows)", "untrained", _first(records, "base")),
        _anchor("untrained", "untrained (random weights)", "untrained", _first(records, "untrained")),
    ]
    return tuple(row for row in rows if row.scores)


def retrained_scores(records: Sequence[Record]) -> list[Scores]:
    """Return the scores of each retrained model."""
    return [_measured(records, "retrained", name) for name in models_of(records, "retrained")]


def scores_of(record: Record, model: str | None) -> Scores:
    """Return one model's scores in one record."""
    return {(one.metric, one.split): one.score for one in record.measurements if one.model == model}


def together(models: Sequence[Scores]) -> dict[tuple[str, str], tuple[Score, ...]]:
    """Return the scores of several models side by side."""
    keys = dict.fromkeys(key for scores in models for key in scores)
    return {key: tuple(scores[key] for scores in models if key in scores) for key in keys}


def _anchor(key: str, label: str, series: str, scores: Scores) -> Anchor:
    return Anchor(key=key, label=label, series=series, scores=together([scores]))


def _first(records: Sequence[Record], role: str) -> Scores:
    names = models_of(records, role)
    return _measured(records, role, names[0]) if names else {}


def _measured(records: Sequence[Record], role: str, name: str) -> Scores:
    """Return the scores of one model of a role, whichever of the records measured it."""
    found: dict[tuple[str, str], Score] = {}
    for record in records:
        if any((model.role, model.name) == (role, name) for model in record.models):
            found = {**scores_of(record, name), **found}
    return found
