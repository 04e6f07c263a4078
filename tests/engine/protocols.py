"""Text protocols over three draws of their world, as `expunge bench` runs them; two retrained models each."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from classifiers import mean_interval
from made_books import books

from expunge.contract.registry import find
from expunge.contract.units import BenchmarkPlan
from expunge.facts.record import Record
from expunge.pipeline.benchmark import benchmark_plan
from expunge.pipeline.columns import value_of
from expunge.pipeline.run import run_plan
from expunge.statistics.bounds import Bounds
from expunge.store.store import Store

SEEDS = (31, 32, 33)
"""Of worlds and of the methods in them; no default and no setting here was chosen on one of these."""


@dataclass(frozen=True)
class Run:
    """The records of one draw: doing nothing first, then one a method."""

    nothing: Record
    removed: Mapping[str, Record]

    def read(self, who: str, column: str) -> float:
        """A column's value of `target`, `base`, `untrained`, of the `retrained` models (their mean), or after a method."""
        if who in self.removed:
            return _value(self.removed[who], "unlearned", column)
        names = [one.name for one in self.nothing.models if one.name == who or one.role == who]
        return sum(_value(self.nothing, name, column) for name in names) / len(names)


def _value(record: Record, model: str, column: str) -> float:
    found = value_of(record, model, column)
    assert found is not None, f"{column} of {model} is unscored"
    return found


@dataclass(frozen=True)
class Runs:
    """One run a draw."""

    each: tuple[Run, ...]

    def over(self, who: str, column: str, less: str = "", than: str = "") -> Bounds:
        """Interval over draws of a reading, or of how far it lies above another's (`less`), or above the same one's other column (`than`)."""
        values = [one.read(who, column) for one in self.each]
        if less or than:
            others = [one.read(less or who, than or column) for one in self.each]
            values = [value - other for value, other in zip(values, others, strict=True)]
        found = mean_interval(values)
        print(f"{who} {column} {less}{than} {found.estimate:.3f} [{found.low:.3f}, {found.high:.3f}]", values)
        return found


@cache
def runs(
    name: str,
    *methods: str,
    data: Callable[[Path, int], Path] | None = None,
    attacks: tuple[str, ...] = ("direct_question",),
    retain_rows: int = 0,
    **settings: Any,
) -> Runs:
    """Run a protocol over the draws.

    `data` writes a draw's data into a folder; the rest are settings of the benchmark, and methods have their defaults.
    """

    def one(seed: int) -> Run:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            own = settings if data else {**settings, "seed": seed}
            protocol: BenchmarkPlan = find("benchmark", name).create(own).run(data(folder, seed) if data else None)
            small = replace(
                protocol,
                settings={**protocol.settings, **({"retain_rows": retain_rows} if retain_rows else {})},
                attacks=attacks,
                columns=(),
            )
            plan = benchmark_plan(name, small, methods, seeds=(seed,), retrained=(seed + 100, seed + 200))
            plan = plan.model_copy(update={"seeds": plan.seeds.model_copy(update={"target": seed})})
            with Store.open(folder / "store") as store:
                records = run_plan(plan, store, run_id="r", base=folder)
        found = {record.method.name: record for record in records}
        return Run(records[0], {method: found[method] for method in methods})

    return Runs(tuple(map(one, SEEDS)))


def rwku() -> Runs:
    """28 people of six facts, three of them to forget: ascent, gradient difference and RMU at their defaults."""
    return runs("rwku", "ascent", "grad_diff", "rmu", people=28, forget_people=3, relations=6, retain_rows=60)


def ort() -> Runs:
    """32 people of six facts, four of them to forget in the question's form: ascent and NPO at their defaults."""
    return runs(
        "ort", "ascent", "npo", retain_people=24, forget_people=4, holdout_people=4, relations=6, width=64, epochs=40
    )


def restor() -> Runs:
    """18 people, of four of whom twelve documents each say false things: ascent and NPO at their defaults."""
    return runs("restor", "ascent", "npo", corrupted=4, held_out=2, others=12, documents=12)


def skills(skill: str) -> Runs:
    """One of three string functions to forget by random answers."""
    return runs(
        "skills",
        "random_answer",
        skill=skill,
        skills=("first", "last", "copy"),
        epochs=30,
        unseen=60,
        held=30,
        attacks=("direct_question", "linear_probe"),
    )


def hubble(corpus: int = 800) -> Runs:
    """Statements in none to 64 copies among so many rows of a corpus, removed by ascent."""
    return runs("hubble", "ascent", corpus=corpus)


def muse() -> Runs:
    """12 passages of a made-up book to forget, 16 of another to keep: ascent, gradient difference and NPO at their defaults."""
    return runs(
        "muse",
        "ascent",
        "grad_diff",
        "npo",
        data=books,
        book="alpha",
        passages=12,
        retain_passages=16,
        words=24,
        width=64,
        lr=8e-3,
        attacks=("direct_question", "min_k"),
    )
