"""What is searched, within which budget: the same trials, optimiser steps and rows a step for every method."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from expunge.contract.registry import Listing, find, settings_of
from expunge.engine.descend import Descent
from expunge.facts.errors import InputError, nearest
from expunge.pipeline.plan import MethodPlan, Plan
from expunge.pipeline.validation import Validation

FIXED = ("epochs", "batch_size", "max_steps")
"""Settings of the optimiser that the budget decides."""
DECADE = 10.0
"""A unit that declares no search has its learning rate searched this far to either side of its default."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What every method gets, one as the other.

    Rounds of one trial a method end after `trials`, or once `patience` rounds in a row improved no method's best by `tolerance`.
    """

    trials: int = 12
    steps: int = 60
    batch_size: int = 16
    patience: int = 6
    tolerance: float = 1e-3
    penalty: float = 1.0
    retrained: int = 1
    seeds: int = 1
    seed: int = 9000

    def __post_init__(self) -> None:
        if min(self.trials, self.steps, self.batch_size, self.patience, self.retrained, self.seeds) < 1:
            raise InputError("trials, steps, batch size, patience, retrained models and seeds must be at least 1")

    @property
    def method_seeds(self) -> tuple[int, ...]:
        """Seeds of the methods in every trial."""
        return tuple(self.seed + 100 + i for i in range(self.seeds))

    def check_against(self, plan: Plan) -> None:
        """Refuse seeds that the plan reports under: what is tuned on them is not measured by them."""
        own = {*self.method_seeds, *range(self.seed, self.seed + 1 + self.retrained)}
        reported = {
            *plan.targets,
            plan.seeds.verify,
            *plan.seeds.retrained,
            *(s for m in plan.method for s in m.seeds),
        }
        both = sorted(own & reported)
        if both:
            raise InputError(
                f"the seeds {both} are those that the plan reports under",
                causes=("settings tuned on the seeds of a result make the result look better than it is",),
                do="give another --seed",
            )


def ranges(listing: Listing, settings: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    """Return what is searched: the unit's own `search`, else its learning rate; never what the budget decides."""
    own = {name: tuple(given) for name, given in listing.about.search.items() if name not in FIXED}
    if not own and "lr" in settings:
        own = {"lr": ("log", settings["lr"] / DECADE, settings["lr"] * DECADE)}
    unknown = [name for name in own if name not in settings]
    if unknown:
        near = nearest(unknown[0], tuple(settings))
        raise InputError(f"{listing.name} searches {unknown[0]!r}, which it has not; the nearest is {near!r}")
    return own


@dataclass
class Search:
    """One method's search: its plan, what is searched, the study that asks, and the trials so far."""

    method: MethodPlan
    budget: Budget
    rows: Validation
    study: Any = None
    trials: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.listing = find("method", self.method.name)
        self.start = settings_of(self.listing.create(self.method.settings))
        self.space = ranges(self.listing, self.start)
        if not self.space:
            raise InputError(f"{self.method.name} has nothing to search", do="leave it out of --methods")
        self.study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=self.budget.seed))
        self.study.enqueue_trial({name: _within(self.start[name], given) for name, given in self.space.items()})

    @property
    def best(self) -> dict[str, Any]:
        """The trial with the lowest objective; the earlier of equals."""
        return min(self.trials, key=lambda trial: (trial["objective"], trial["number"]))

    @property
    def failed(self) -> bool:
        """True where no trial could be run."""
        return all("failed" in trial for trial in self.trials)

    def settings(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        """Return the method's settings with what was drawn, and passes enough for the budget's steps (with stages its own).

        Enough on the validation request and on the plan's, which may have fewer forget rows: `max_steps` is to end both.
        """
        given = {**self.method.settings, **drawn}
        if any(isinstance(one.default, Descent) for one in fields(self.listing.load())):
            found = self.rows.splits.rows
            forgets = "forget" in self.listing.about.needs
            lead = min(len(found["forget"]), self.rows.asked) if forgets else len(found["retain"])
            a_pass = math.ceil(lead / self.budget.batch_size)
            given |= {"batch_size": self.budget.batch_size, "max_steps": self.budget.steps}
            given |= {
                "epochs": self.start["epochs"] if self.listing.about.staged else math.ceil(self.budget.steps / a_pass)
            }
        return given


def _within(value: Any, given: tuple[Any, ...]) -> Any:
    kind, *rest = given
    if kind == "choice":
        return value if value in rest else rest[0]
    return min(max(value, rest[0]), rest[1])


def draw(trial: Any, space: Mapping[str, tuple[Any, ...]]) -> dict[str, Any]:
    """Return a value of each setting searched, as an optuna trial suggests it."""
    found = {}
    for name, (kind, *rest) in space.items():
        if kind == "choice":
            found[name] = trial.suggest_categorical(name, rest)
        elif kind == "int":
            found[name] = trial.suggest_int(name, *rest)
        else:
            found[name] = trial.suggest_float(name, *rest, log=kind == "log")
    return found


def chosen(plan: Plan, names: Sequence[str] | None) -> list[MethodPlan]:
    """Return the plan's methods asked for by label (all, where none is named); guards move no weight and are left out."""
    known = {method.label: method for method in plan.method if not method.guard}
    for name in names or ():
        if name not in known:
            near = nearest(name, tuple(known))
            raise InputError(f"the plan has no method {name!r}; the nearest is {near!r}", do="name methods of the plan")
    return [known[name] for name in names] if names is not None else list(known.values())
