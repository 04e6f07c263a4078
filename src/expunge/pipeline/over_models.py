"""Columns of a benchmark's table that one model alone does not give: KLoM over a method's seeds, AIN against the retrained models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from expunge.contract.units import BenchmarkPlan
from expunge.facts.errors import InputError, nearest
from expunge.facts.record import Record
from expunge.facts.score import Score, unscored
from expunge.statistics.clusters import FloatArray
from expunge.statistics.klom import klom
from expunge.statistics.relearn_time import anamnesis_index

KLOM, AIN = "klom", "ain"
READS: Mapping[str, tuple[str, str]] = {KLOM: ("metrics", "margin"), AIN: ("attacks", "relearn_time")}
"""Which unit's numbers each of them is made of."""
COLUMNS: Mapping[str, tuple[str, ...]] = {
    KLOM: tuple(f"{KLOM}:{split}" for split in ("forget", "retain", "test")),
    AIN: ("relearn_time:success", AIN),
}


def with_also(protocol: BenchmarkPlan, names: Sequence[str]) -> BenchmarkPlan:
    """Return the protocol with the columns of `names` (klom, ain) and what they are made of.

    They are asked for and not there by default: KLoM is a number from 20 method seeds and 20 retrained models on, six times what a
    protocol runs by default, each seed with a target of its own; AIN trains every model once more.
    """
    for name in names:
        if name not in READS:
            raise InputError(
                f"no column named {name!r} can be added; the nearest is {nearest(name, tuple(READS))!r}",
                do=f"--also {','.join(READS)}",
            )
        field, unit = READS[name]
        changed: dict[str, Any] = {
            field: tuple(dict.fromkeys((*getattr(protocol, field), unit))),
            "columns": tuple(dict.fromkeys((*protocol.columns, *COLUMNS[name]))),
        }
        protocol = replace(protocol, **changed)
    return protocol


def is_over_models(column: str, protocol: BenchmarkPlan) -> bool:
    """True for `klom:SPLIT` and `ain` of a protocol that runs what they are made of."""
    name, _, part = column.partition(":")
    if name not in READS or (name == KLOM) != bool(part):
        return False
    field, unit = READS[name]
    return unit in getattr(protocol, field)


def klom_of(records: Sequence[Record], split: str) -> Score:
    """Return the 95th percentile over a split's rows of KLoM between the unlearned models of one method's records and the retrained ones.

    Each seed starts from a target of its own (`seeds.target = "method"`), as in the paper: the models that a method makes of one target
    spread less than retrained ones do, and KLoM says so in place of what was forgotten. On a planted table twenty fine-tunings of one
    target have 9.7 on retain rows, of twenty targets 7.0 (retrained again 5.2). Models are told apart by their weights: one that comes
    back under several seeds counts once, and one that is itself among the retrained ones does not count. The row of `retrain` is the
    noise floor.
    """
    retrained = {one.content_digest: one.name for one in records[0].models if one.role == "retrained"}
    unlearned: dict[str, Record] = {}
    for record in records:
        for one in record.models:
            if one.role == "unlearned" and one.content_digest not in retrained:
                unlearned.setdefault(one.content_digest, record)
    try:
        own = [_margins(record, "unlearned", split) for record in unlearned.values()]
        others = [_margins(records[0], name, split) for name in retrained.values()]
        return klom(np.array(own, np.float64), np.array(others, np.float64))
    except InputError as error:
        return unscored(KLOM, error.what, ideal="lower")


def _margins(record: Record, model: str, split: str) -> FloatArray:
    named = (one.score for one in record.measurements if (one.metric, one.model, one.split) == ("margin", model, split))
    score = next(named, None)
    if score is None or score.per_example is None:
        reason = f": {score.unscored}" if score is not None else ""
        raise InputError(f"{split} rows of {model} have no margins{reason}")
    return np.array(score.per_example, np.float64)


def ain_of(record: Record, model: str) -> Score:
    """Return AIN of one model against the record's retrained models other than itself: about 1 for a retrained one."""
    curves = {one.model: one.curve for one in record.outcomes if one.attack == "relearn_time"}
    if not curves.get(model):
        return unscored(AIN, f"{model} was not taught again", ideal="as_control")
    names = [one.name for one in record.models if one.role == "retrained" and one.name != model]
    missing = [name for name in names if not curves.get(name)]
    if missing:
        return unscored(AIN, f"{missing[0]} was not taught again", ideal="as_control")
    return anamnesis_index(curves[model], [curves[name] for name in names])
