"""Search settings of several methods under one budget, on a request that is not the one reported."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from expunge.contract.apply import locate, unlearn
from expunge.contract.job import Job
from expunge.contract.registry import Listing, find, settings_of
from expunge.engine.descend import Descent
from expunge.facts.digest import canonical_json, read_json, sha256
from expunge.facts.errors import ContractBroken, InputError, nearest
from expunge.pipeline.loading import load_model
from expunge.pipeline.plan import MethodPlan, Plan
from expunge.pipeline.progress import Bars
from expunge.pipeline.ready import check_plan_ready
from expunge.pipeline.river import keep
from expunge.pipeline.validation import Bar, Models, Validation, train_models, validation_request
from expunge.pipeline.verify import Settings, evaluation_rows
from expunge.store.run import Run
from expunge.store.store import Store

OBJECTIVE = (
    "mean |p - p_retrained| over the validation forget rows + penalty * max(0, mean p_retrained - mean p) over the utility rows; "
    "p = exp(mean log p a token) of the row's own answer, p_retrained its mean over the validation retrained models"
)
FIXED = ("epochs", "batch_size")
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
        reported = {plan.seeds.target, plan.seeds.verify, *plan.seeds.retrained, *(s for m in plan.method for s in m.seeds)}
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
        if not self.space or self.listing.about.before_training:
            raise InputError(f"{self.method.name} has nothing to search", do="leave it out of --methods")
        self.study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=self.budget.seed))
        self.study.enqueue_trial({name: _within(self.start[name], given) for name, given in self.space.items()})

    @property
    def best(self) -> dict[str, Any]:
        """The trial with the lowest objective; the earlier of equals."""
        return min(self.trials, key=lambda trial: (trial["objective"], trial["number"]))

    def settings(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        """Return the method's settings with what was drawn, and passes enough for the budget's steps."""
        given = {**self.method.settings, **drawn}
        if any(isinstance(one.default, Descent) for one in fields(self.listing.load())):
            lead = self.rows.splits.rows["forget" if "forget" in self.listing.about.needs else "retain"]
            a_pass = math.ceil(len(lead) / self.budget.batch_size)
            given |= {"batch_size": self.budget.batch_size, "epochs": math.ceil(self.budget.steps / a_pass)}
        return given


def _within(value: Any, given: tuple[Any, ...]) -> Any:
    kind, *rest = given
    if kind == "choice":
        return value if value in rest else rest[0]
    return min(max(value, rest[0]), rest[1])


def _draw(trial: Any, space: Mapping[str, tuple[Any, ...]]) -> dict[str, Any]:
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


@dataclass
class Tuner:
    """Runs trials on the validation target; a finished trial is read back."""

    budget: Budget
    rows: Validation
    models: Models
    bar: Bar
    run: Run
    progress: Bars

    def trial(self, search: Search) -> None:
        """Ask for settings, try them under every seed, and tell what came out."""
        number = len(search.trials)
        asked = search.study.ask()
        drawn = _draw(asked, search.space)
        piece = f"trial-{search.method.label}-{number}"
        if not self.run.has(piece):
            self.progress.stage = f"{search.method.label} trial {number + 1} of {self.budget.trials}"
            self.run.finish(piece, canonical_json(self._try(search, drawn)))
        found = {"number": number, "settings": drawn, **read_json(self.run.piece(piece))}
        search.trials.append(found)
        search.study.tell(asked, found["objective"])

    def _try(self, search: Search, drawn: Mapping[str, Any]) -> dict[str, Any]:
        each, steps = [], []
        for seed in self.budget.method_seeds:
            target, splits = load_model(self.models.target), self.rows.splits
            job = Job(seed=seed, progress=self.progress, steps=self.budget.steps)
            if search.method.locator is not None:
                locator = find("locator", search.method.locator).create(search.method.locator_settings)
                job.mask = locate(locator, target, splits, job=Job(seed=seed, progress=self.progress))
            unit = search.listing.create(search.settings(drawn))
            try:
                model, _ = unlearn(unit, target, splits, job=job, scope=search.method.scope, consume=True)
            except ContractBroken as broken:
                worst = 1.0 + self.budget.penalty
                return {"objective": worst, "failed": broken.what, "steps": int(job.notes.get("optimiser_steps", 0))}
            steps.append(int(job.notes.get("optimiser_steps", 0)))
            each.append(self.bar.distances(model, self.rows, Job(progress=self.progress)))
        distance, fell = (sum(column) / len(each) for column in zip(*each, strict=True))
        return {
            "objective": distance + self.budget.penalty * fell,
            "distance": distance,
            "utility_loss": fell,
            "steps": max(steps),
        }

    def rounds(self, searches: Sequence[Search]) -> str:
        """Give every method a trial a round until the stop rule ends it; return why it ended."""
        idle, best = 0, {search.method.label: math.inf for search in searches}
        for done in range(1, self.budget.trials + 1):
            better = False
            for search in searches:
                self.trial(search)
                label, value = search.method.label, search.best["objective"]
                if value < best[label] - self.budget.tolerance:
                    best[label], better = value, True
            idle = 0 if better else idle + 1
            if idle == self.budget.patience:
                return f"no method improved by {self.budget.tolerance} in {idle} rounds, after {done}"
        return f"all {self.budget.trials} trials were made"


def tune(
    plan: Plan,
    store: Store,
    *,
    names: Sequence[str] | None = None,
    budget: Budget | None = None,
    base: Path | None = None,
    progress: Bars | None = None,
) -> dict[str, Any]:
    """Search the settings of the plan's methods and return the search as plain values; kept in the store, and resumed.

    The plan's forget rows are committed to and read by nothing else; its holdout and test rows are not read at all.
    """
    budget, base, progress = budget or Budget(), base or Path(), progress or Bars(quiet=True)
    budget.check_against(plan)
    if plan.recipe is None or plan.model.architecture is None:
        raise InputError(
            "a search trains models of its own: the plan needs an architecture and a [recipe]",
            causes=("settings tuned on the target that is reported would be tuned on the result",),
        )
    methods = chosen(plan, names)
    given = check_plan_ready(plan, base)
    verify = Settings(retain_rows=plan.verify.retain_rows, seed=plan.seeds.verify)
    reported = evaluation_rows(given.splits(), verify, given.extra)["retain"]
    rows = validation_request(given, reported, budget.seed)
    searches = [Search(method, budget, rows) for method in methods]
    facts = {"plan": plan.plain(), "methods": [method.label for method in methods], "budget": asdict(budget)}
    run_id = f"tune-{sha256(canonical_json(facts))[:12]}"
    store.open_request(plan.request.id, given.rows["forget"], kind=plan.request.kind)
    with store.run(run_id, plan.request.id, plan=canonical_json(facts)) as run:
        models = train_models(
            plan, rows, run, base, seed=budget.seed, retrained=budget.retrained, progress=progress
        )
        bar = Bar.of(models, rows, Job(progress=progress))
        stopped = Tuner(budget, rows, models, bar, run, progress).rounds(searches)
        untouched = bar.distances(load_model(models.target), rows, Job(progress=progress))
        found = {
            "schema_version": "expunge/search/v1",
            "run": run_id,
            "plan": plan.digest(),
            "budget": asdict(budget),
            "objective": OBJECTIVE,
            "seeds": {"models": [budget.seed + i for i in range(1 + budget.retrained)], "methods": budget.method_seeds},
            "rows": {
                "forget": len(rows.splits.rows["forget"]),
                "retain": len(rows.splits.rows["retain"]),
                "utility": len(rows.utility),
                "reported by the plan as retain rows": rows.reported,
            },
            "do_nothing": untouched[0] + budget.penalty * untouched[1],
            "stopped": stopped,
            "methods": {
                search.method.label: {"space": search.space, "trials": search.trials, "best": search.best["number"]}
                for search in searches
            },
        }
        data = canonical_json(found)
        run.finish("search", data)
        keep(store, run, "search", data)
    return dict(read_json(data))


def search_table(found: Mapping[str, Any]) -> list[list[str]]:
    """Return the search as rows of text: one a method, with its first trial (the settings it has) and its best."""
    rows = [["method", "trials", "steps", "as it is", "best", "distance", "utility loss", "failed", "best settings"]]
    for label, search in found["methods"].items():
        trials = search["trials"]
        best = trials[search["best"]]
        parts = [f"{best[name]:.3f}" if name in best else "-" for name in ("distance", "utility_loss")]
        words = ", ".join(f"{k}={v:.3g}" if isinstance(v, float) else f"{k}={v}" for k, v in best["settings"].items())
        failed = sum("failed" in trial for trial in trials)
        rows.append(
            [label, str(len(trials)), str(max(trial["steps"] for trial in trials)), f"{trials[0]['objective']:.3f}",
             f"{best['objective']:.3f}", *parts, str(failed), words]
        )  # fmt: skip
    return rows
