"""Make models by a plan, each a piece of its run: what was finished before a kill is not made again."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from expunge.contract.apply import locate, undisturbed, unlearn
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.registry import find
from expunge.contract.splits import Splits
from expunge.facts.digest import canonical_json, directory_digests, read_json, sha256
from expunge.facts.errors import InputError
from expunge.facts.recipe import Recipe
from expunge.facts.record import MethodFacts
from expunge.facts.rows import Rows
from expunge.pipeline.cache import RequestCache
from expunge.pipeline.loading import Placement, load_model
from expunge.pipeline.plan import MethodPlan, Plan
from expunge.pipeline.progress import Bars
from expunge.store.run import Run


@dataclass(frozen=True)
class Workshop:
    """Trains models and runs methods on them, for targets, retrained and shadow models alike.

    `base` is the directory of the model that training starts from; without it, it starts from newly drawn weights.
    """

    plan: Plan
    run: Run
    cache: RequestCache
    placement: Placement
    progress: Bars
    base: Path | None = None

    def model(
        self, piece: str, make: Callable[[], Model], made_from: Sequence[Any] = (), seconds: float | None = None
    ) -> Path:
        """Return the directory of a piece, made first where it is not finished; `seconds-<piece>` says how long that took.

        `seconds` is given where the work was done before the call.

        `made_from` names all that decides its weights: another run of the store that made a model of the same gives it to this one
        (more methods for models that took hours to train). Without it nothing is shared.
        """
        if not self.run.has(piece):
            key = sha256(canonical_json(["model", *made_from, asdict(self.placement)])) if made_from else None
            kept = self.cache.get_directory(key) if key else None
            if kept is not None:
                with self.run.finishing(piece) as directory:
                    shutil.copytree(kept, directory, dirs_exist_ok=True)
            else:
                self._make(piece, make, seconds)
                if key:
                    self.cache.put_directory(key, self.run.directory(piece))
        return self.run.directory(piece)

    def _make(self, piece: str, make: Callable[[], Model], taken: float | None) -> None:
        self.progress.stage, started = piece, time.perf_counter()
        model, seconds = make(), f"seconds-{piece}"
        if not self.run.has(seconds):
            self.run.finish(seconds, canonical_json(time.perf_counter() - started if taken is None else taken))
        with self.run.finishing(piece) as directory:
            model.save(directory)

    def seconds(self, piece: str) -> float:
        """Return how long a piece took to make in this run; 0 where another run made it."""
        name = f"seconds-{piece}"
        return float(read_json(self.run.piece(name))) if self.run.has(name) else 0.0

    def made_from(self, like: Path, rows: Rows, recipe: Recipe) -> tuple[Any, ...]:
        """Return what decides the weights of a model of the architecture in `like` that is trained on `rows`, in whatever order they came.

        Training takes rows in an order keyed on their ids: a target is the same whichever of its rows is to be forgotten.
        """
        by_id = Rows(tuple(sorted(rows, key=lambda row: row.id)))
        return (directory_digests(like), by_id.digest(), recipe.model_dump(mode="json"))

    def open(self, directory: Path) -> Model:
        """Load a model."""
        return load_model(directory, self.placement)

    def job(self, seed: int, recipe: Recipe | None = None) -> Job:
        """Return the job of one unit."""
        base = None if self.base is None else partial(self.open, self.base)
        return Job(seed=seed, progress=self.progress, recipe=recipe, cache=self.cache, base=base)

    def recipe(self, seed: int | None = None) -> Recipe:
        """Return the plan's recipe, under another seed where one is given."""
        if self.plan.recipe is None:
            raise InputError("the plan has no [recipe] to train by")
        return self.plan.recipe if seed is None else self.plan.recipe.model_copy(update={"seed": seed})

    def trained_again(self, like: Path, rows: Rows, seed: int) -> Model:
        """Return a model of the architecture in `like`, trained on `rows`: the method `retrain`."""
        unit, splits = find("method", "retrain").create(), Splits({"retain": rows})
        return unlearn(unit, self.open(like), splits, job=self.job(seed, self.recipe()), consume=True)[0]

    def prepared(self, method: MethodPlan, blank: Model, rows: Rows, recipe: Recipe, seed: int) -> Model:
        """Return the model that a method which acts before training makes of `rows`."""
        unit = find("method", method.name).create(method.settings)
        with undisturbed(seed):
            model: Model = unit.prepare(blank, rows, recipe, self.job(seed))
        return model

    def removed(
        self, method: MethodPlan, target: Model, splits: Splits, seed: int, recipe: Recipe | None
    ) -> tuple[Model, MethodFacts, float]:
        """Run a method on `target`, which it may change, and return what came of it, the facts, and the seconds it took."""
        job = self.job(seed, recipe)
        if method.locator is not None:
            locator = find("locator", method.locator).create(method.locator_settings)
            job.mask = locate(locator, target, splits, job=self.job(seed))
        unit = find("method", method.name).create(method.settings)
        model, facts = unlearn(unit, target, splits, job=job, scope=method.scope, consume=True)
        facts = facts.model_copy(update={"locator": method.locator, "locator_settings": method.locator_settings})
        return model, facts, float(job.notes.get("seconds", 0.0))
