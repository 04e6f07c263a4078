"""Search settings of several methods under one budget, on a request that is not the one reported."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from expunge.contract.apply import locate, unlearn
from expunge.contract.job import Cache, Job
from expunge.contract.registry import find
from expunge.facts.digest import canonical_json, read_json, sha256
from expunge.facts.errors import ContractBroken, InputError
from expunge.pipeline.cache import MADE_BY, RequestCache
from expunge.pipeline.loading import Placement
from expunge.pipeline.plan import MethodPlan, Plan
from expunge.pipeline.progress import Bars
from expunge.pipeline.ready import check_plan_ready
from expunge.pipeline.river import keep
from expunge.pipeline.search import Budget, Search, chosen, draw
from expunge.pipeline.validation import Bar, Models, Validation, check_trainable, train_models, validation_request
from expunge.pipeline.verify import Settings, evaluation_rows
from expunge.store.run import Run
from expunge.store.store import Store

OBJECTIVE = (
    "mean |p - p_retrained| over the validation forget rows + penalty * max(0, mean p_retrained - mean p) over the utility rows; "
    "p = exp(mean log p a token) of the row's own answer, p_retrained its mean over the validation retrained models"
)


@dataclass
class Tuner:
    """Runs trials on the target and retrained models that `models_of` makes for a method; a finished trial is read back."""

    budget: Budget
    rows: Validation
    models_of: Callable[[MethodPlan], tuple[Models, Bar]]
    run: Run
    cache: Cache
    progress: Bars

    def trial(self, search: Search) -> None:
        """Ask for settings, try them under every seed, and tell what came out."""
        number = len(search.trials)
        asked = search.study.ask()
        drawn = draw(asked, search.space)
        piece = f"trial-{search.method.label}-{number}"
        if not self.run.has(piece):
            self.progress.stage = f"{search.method.label} trial {number + 1} of {self.budget.trials}"
            self.run.finish(piece, canonical_json(self._try(search, drawn)))
        found = {"number": number, "settings": drawn, **read_json(self.run.piece(piece))}
        search.trials.append(found)
        search.study.tell(asked, found["objective"])

    def _try(self, search: Search, drawn: Mapping[str, Any]) -> dict[str, Any]:
        each, steps = [], []
        try:
            models, bar = self.models_of(search.method)
        except (ContractBroken, InputError) as broken:
            return self._failed(broken, 0)
        for seed in self.budget.method_seeds:
            target, splits = models.open(models.target), self.rows.splits
            job = models.job(seed, self.cache, self.progress)
            if search.method.locator is not None:
                locator = find("locator", search.method.locator).create(search.method.locator_settings)
                job.mask = locate(locator, target, splits, job=Job(seed=seed, progress=self.progress))
            unit = search.listing.create(search.settings(drawn))
            try:
                model, _ = unlearn(unit, target, splits, job=job, scope=search.method.scope, consume=True)
            except (ContractBroken, InputError) as broken:
                return self._failed(broken, int(job.notes.get("optimiser_steps", 0)))
            steps.append(int(job.notes.get("optimiser_steps", 0)))
            each.append(bar.distances(model, self.rows, Job(progress=self.progress)))
        distance, fell = (sum(column) / len(each) for column in zip(*each, strict=True))
        return {
            "objective": distance + self.budget.penalty * fell,
            "distance": distance,
            "utility_loss": fell,
            "steps": max(steps),
        }

    def _failed(self, broken: ContractBroken | InputError, steps: int) -> dict[str, Any]:
        return {"objective": 1.0 + self.budget.penalty, "failed": broken.what, "steps": steps}

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
    store: Path,
    *,
    names: Sequence[str] | None = None,
    budget: Budget | None = None,
    base: Path | None = None,
    placement: Placement | None = None,
    progress: Bars | None = None,
) -> dict[str, Any]:
    """Search the settings of the plan's methods and return the search as plain values; kept in the store, and resumed by the same version.

    No model is trained or measured on the plan's forget, holdout or test rows. A method of which no trial could be run has nothing to
    `use`; each of its trials says why.
    """
    budget, base, progress = budget or Budget(), base or Path(), progress or Bars(quiet=True)
    budget.check_against(plan)
    check_trainable(plan)
    methods = chosen(plan, names)
    given = check_plan_ready(plan, base)
    verify = Settings(retain_rows=plan.verify.retain_rows, seed=plan.seeds.verify)
    reported = evaluation_rows(given.splits(), verify, given.extra)["retain"]
    rows = validation_request(given, reported, budget.seed)
    searches = [Search(method, budget, rows) for method in methods]
    facts = {
        "plan": plan.plain(),
        "methods": [method.label for method in methods],
        "budget": asdict(budget),
        "made_by": MADE_BY,
    }
    run_id = f"tune-{sha256(canonical_json(facts))[:12]}"
    with Store.open(store) as opened:
        opened.open_request(plan.request.id, given.rows["forget"], kind=plan.request.kind)
        with opened.run(run_id, plan.request.id, plan=canonical_json(facts)) as run:
            place = placement or Placement()

            def made(method: MethodPlan | None = None) -> tuple[Models, Bar]:
                models = train_models(plan, rows, run, base, budget.seed, budget.retrained, place, progress, method)
                return models, Bar.of(models, rows, Job(progress=progress))

            models, bar = made()
            prepared: dict[str, tuple[Models, Bar]] = {}

            def models_of(method: MethodPlan) -> tuple[Models, Bar]:
                if not find("method", method.name).about.before_training:
                    return models, bar
                if method.label not in prepared:
                    prepared[method.label] = made(method)
                return prepared[method.label]

            cache = RequestCache(opened.cache, plan.request.id)
            stopped = Tuner(budget, rows, models_of, run, cache, progress).rounds(searches)
            away, fell = bar.distances(models.open(models.target), rows, Job(progress=progress))
            found = {
                "schema_version": "expunge/search/v1",
                "run": run_id,
                "plan": plan.digest(),
                "made_by": MADE_BY,
                "do_nothing": away + budget.penalty * fell,
                "stopped": stopped,
                **_conditions(budget, rows),
                "methods": {
                    search.method.label: {
                        "space": search.space,
                        "trials": search.trials,
                        "best": search.best["number"],
                        "use": None if search.failed else search.settings(search.best["settings"]),
                    }
                    for search in searches
                },
            }
            data = canonical_json(found)
            run.finish("search", data)
            keep(opened, run, "search", data)
    return dict(read_json(data))


def _conditions(budget: Budget, rows: Validation) -> dict[str, Any]:
    """Return what the search stood on: budget, objective, seeds, and how many rows of which kind."""
    return {
        "budget": asdict(budget),
        "objective": OBJECTIVE,
        "seeds": {"models": [budget.seed + i for i in range(1 + budget.retrained)], "methods": budget.method_seeds},
        "rows": {
            "forget": len(rows.splits.rows["forget"]),
            "retain": len(rows.splits.rows["retain"]),
            "utility": len(rows.utility),
            "reported by the plan as retain rows": rows.reported,
        },
    }


def search_table(found: Mapping[str, Any]) -> list[list[str]]:
    """Return the search as rows of text: one a method, with its first trial (the settings it has) and its best."""
    rows = [["method", "trials", "steps", "as it is", "best", "distance", "utility loss", "failed", "best settings"]]
    for label, search in found["methods"].items():
        trials = search["trials"]
        best = trials[search["best"]]
        parts = [f"{best[name]:.3f}" if name in best else "-" for name in ("distance", "utility_loss")]
        words = ", ".join(f"{k}={v:.3g}" if isinstance(v, float) else f"{k}={v}" for k, v in best["settings"].items())
        words = f"none: {best['failed']}" if search["use"] is None else words
        failed = sum("failed" in trial for trial in trials)
        rows.append(
            [label, str(len(trials)), str(max(trial["steps"] for trial in trials)), f"{trials[0]['objective']:.3f}",
             f"{best['objective']:.3f}", *parts, str(failed), words]
        )  # fmt: skip
    return rows
