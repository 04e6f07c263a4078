"""What each kind of unit promises: one method, `run`, and an `about`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.contract.job import Job
from expunge.contract.mask import Mask
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.facts.recipe import Recipe
from expunge.facts.record import Outcome
from expunge.facts.rows import Row, Rows
from expunge.facts.score import Score
from expunge.statistics.position_scores import PositionScores


class Source(Protocol):
    """Rows from a file, a benchmark's data or a generator; also the recipe's extra rows by name."""

    about: About

    def run(self) -> Mapping[str, Rows]:
        """Return rows by split name (forget, retain, holdout, test, and any extra evaluation sets)."""


class Method(Protocol):
    """Change the weights so that the forget set is gone. `run` may change the model it is given: it is a copy."""

    about: About

    def run(self, model: Model, splits: Splits, job: Job) -> Model:
        """Return the unlearned model (usually `model` itself, changed in place)."""


class Preparing(Method, Protocol):
    """A method that must act before training, so that forgetting later is cheap or exact.

    One that can forget from nothing but what it prepared also has `check_target(model)`, which refuses other models before any work.
    """

    def prepare(self, model: Model, rows: Rows, recipe: Recipe, job: Job) -> Model:
        """Return the trained target in the form that `run` can forget from; `model` has fresh weights."""


class Locator(Protocol):
    """Say where the forget set is stored."""

    about: About

    def run(self, model: Model, splits: Splits, job: Job) -> Mask:
        """Return which entries a method may move."""


class Guarded(Protocol):
    """A model behind a guard: the weights inside are bit-identical to those given."""

    model: Model

    def screen(self, rows: Sequence[Row]) -> Sequence[str | None]:
        """Return, a row, what the guard answers in the model's place, or None where it lets the model answer."""


class Guard(Protocol):
    """Leave the weights alone and stop it at inference."""

    about: About

    def run(self, model: Model, splits: Splits, job: Job) -> Guarded:
        """Return the model behind the guard."""


class Metric(Protocol):
    """Verify by measuring: arithmetic on evidence that the pipeline computed once."""

    about: About

    def run(self, evidence: Evidence) -> Mapping[str, Score]:
        """Return scores by split name (or by `split/part`)."""


@dataclass(frozen=True)
class Probe:
    """What an attack that needs the weights may do: copy the model, train the copy, score and generate with any model.

    `model()` returns a new copy each call; the attacked model is never touched. `target()` does so for the model before the removal, of
    units that need it, where there is one.
    """

    model: Callable[[], Model]
    splits: Splits
    generator: torch.Generator
    score: Callable[[Model, Rows], PositionScores]
    generate: Callable[[Model, Rows], Sequence[str]]
    job: Job
    target: Callable[[], Model] | None = None


class Attack(Protocol):
    """Verify by attacking. The pipeline runs it on the unlearned model and on every control."""

    about: About

    def run(self, evidence: Evidence, probe: Probe) -> Outcome:
        """Return what came out, row by row, or an unscored outcome with the reason."""


@dataclass(frozen=True)
class BenchmarkPlan:
    """What a benchmark fixes: units by name (checked at registration), controls, and the columns of its table.

    A column is METRIC:SPLIT, ATTACK:auc (forget against holdout rows), ATTACK:success, klom:SPLIT or ain. `methods` run where the user
    names none; `method_settings` has, by the same names, what differs from a method's defaults, and `notes` what the table must say.

    With `search` (settings of engine/worst_case.py) the protocol has two requests: the rows of its source, and as many that the search
    chooses on the same target.

    `seeds` and `retrained` are how many method seeds and retrained models there are where the user says nothing: 5 and 10 where
    training takes seconds.
    """

    source: str
    methods: tuple[str, ...]
    metrics: tuple[str, ...]
    attacks: tuple[str, ...]
    controls: tuple[str, ...]
    columns: tuple[str, ...]
    settings: Mapping[str, Any]
    method_settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    search: Mapping[str, Any] = field(default_factory=dict)
    seeds: int = 3
    retrained: int = 3


class Benchmark(Protocol):
    """A published protocol: the one kind of unit that names others."""

    about: About

    def run(self, data: Path | None) -> BenchmarkPlan:
        """Return the protocol over its data: a file or a folder, as the benchmark says, or None where it makes its own."""
