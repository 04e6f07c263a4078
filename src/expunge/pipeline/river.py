"""The river of one plan, piece by piece: what was finished before a kill is not done again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from expunge.contract.apply import guard, undisturbed
from expunge.contract.model import Model
from expunge.contract.registry import find
from expunge.engine.fit import fit
from expunge.facts.digest import canonical_json, read_json, sha256
from expunge.facts.recipe import Recipe
from expunge.facts.record import MethodFacts, Record
from expunge.facts.rows import Rows
from expunge.pipeline.build import untrained
from expunge.pipeline.cache import RequestCache
from expunge.pipeline.given import Given
from expunge.pipeline.loading import Placement
from expunge.pipeline.plan import MethodPlan, Plan
from expunge.pipeline.progress import Bars
from expunge.pipeline.shadows import Shadow, Shadows
from expunge.pipeline.subjects import Subject
from expunge.pipeline.verify import Settings, verify
from expunge.pipeline.workshop import Workshop
from expunge.store import chain
from expunge.store.run import Run
from expunge.store.store import Store

DO_NOTHING = "do_nothing"
"""Label of the record in which the target stands in the unlearned model's place."""
SECOND = "second_retrained"
"""Label of the record in which the first retrained model stands in the unlearned model's place: the noise floor."""


@dataclass
class River:
    """One run of a plan over a store. `records()` does what is left to do and returns every record in order."""

    plan: Plan
    store: Store
    run: Run
    given: Given
    base: Path = field(default_factory=Path)
    placement: Placement = field(default_factory=Placement)
    progress: Bars = field(default_factory=Bars)
    commitments: Mapping[str, str] = field(default_factory=dict)

    @property
    def cache(self) -> RequestCache:
        """Return the store's cache, its entries under this run's request."""
        return RequestCache(self.store.cache, self.run.request)

    @property
    def shop(self) -> Workshop:
        """Return what makes the models of this run."""
        return self._shop(self.base_model())

    def _shop(self, base: Path | None) -> Workshop:
        return Workshop(self.plan, self.run, self.cache, self.placement, self.progress, base)

    def blank(self) -> Path:
        """Return the directory of the untrained model."""
        return self._shop(None).model(
            "untrained", lambda: untrained(self.plan.model, self.given.rows, self.plan.targets[0], self.base)
        )

    def base_model(self) -> Path | None:
        """Return the directory of the model that training starts from: given, or trained on the source's rows for it; None without."""
        if self.plan.model.base is not None:
            return self.base / self.plan.model.base
        if not len(self.given.base):
            return None
        recipe = (self.plan.base_recipe or self._shop(None).recipe()).model_copy(update={"seed": self.plan.targets[0]})
        return self._fitted("base", self.blank(), self.given.base, recipe)

    def _fitted(self, piece: str, start: Path, rows: Rows, recipe: Recipe) -> Path:
        shop = self._shop(None)

        def make() -> Model:
            with undisturbed(recipe.seed):
                return fit(shop.open(start), rows, recipe, job=shop.job(recipe.seed))

        return shop.model(piece, make, (piece, *shop.made_from(start, rows, recipe)))

    def target(self, seed: int | None = None) -> Path:
        """Return the directory of the target: the one given, or one trained on forget and retain rows (of a `seed`, where each has one)."""
        if self.plan.model.directory is not None:
            return self.base / self.plan.model.directory
        like, rows = self._like(), self.given.training("forget", "retain")
        own = self.plan.targets[0] if seed is None or not self.plan.each_its_target else seed
        if not self.plan.each_its_target:
            return self._fitted("target", like, rows, self.shop.recipe(own))
        made_from = ("retrained", *self.shop.made_from(like, rows, self.shop.recipe(own)))
        return self.shop.model(f"target-{own}", partial(self.shop.trained_again, like, rows, own), made_from)

    def _like(self) -> Path:
        """Return the directory of the model to train again: the base model, else one of the architecture."""
        base = self.base_model()
        if base is not None:
            return base
        return self.target() if self.plan.model.architecture is None else self.blank()

    def retrained(self) -> list[Path]:
        """Return the directories of the retrained models: those given, or trained on the retain rows."""
        given = [self.base / path for path in self.plan.model.retrained]
        if given or self.plan.recipe is None:
            return given
        like, rows = self._like(), self.given.training("retain")
        return [
            self.shop.model(
                f"retrained-{number}",
                partial(self.shop.trained_again, like, rows, seed),
                ("retrained", *self.shop.made_from(like, rows, self.shop.recipe(seed))),
            )
            for number, seed in enumerate(self.plan.seeds.retrained)
        ]

    def retrained_as(self, method: MethodPlan) -> list[Path]:
        """Return the controls of what a method made: the retrained models, prepared by the method where it acts before training.

        A retrained model is made by the target's recipe without the forget rows, and being prepared is part of that recipe: an ensemble or
        an analytic head relearns at a speed of its own, whatever it was trained on.
        """
        if self.plan.model.retrained or not find("method", method.name).about.before_training:
            return self.retrained()
        rows = self.given.training("retain")

        def made(seed: int) -> Model:
            blank = self.shop.open(self._like()).fresh(seed)
            return self.shop.prepared(method, blank, rows, self.shop.recipe(seed), seed)

        return [
            self.shop.model(f"retrained-{method.label}-{number}", partial(made, seed))
            for number, seed in enumerate(self.plan.seeds.retrained)
        ]

    def shadows(self, method: MethodPlan | None = None) -> dict[str, tuple[Shadow, ...]]:
        """Return the shadow models that attacks on what a method made read; none where the plan sets none."""
        return Shadows(self.shop, self.given, self._like()).of(method) if self.plan.verify.shadows else {}

    def prepared(self, method: MethodPlan, seed: int) -> Path:
        """Return the target a method starts from under a seed: prepared by it where it must act before training."""
        if not find("method", method.name).about.before_training:
            return self.target(seed)
        each = self.plan.each_its_target

        def make() -> Model:
            blank, rows = self.shop.open(self._like()), self.given.training("forget", "retain")
            if each:
                return self.shop.prepared(method, blank.fresh(seed), rows, self.shop.recipe(seed), seed)
            return self.shop.prepared(method, blank, rows, self.shop.recipe(), self.plan.targets[0])

        return self.shop.model(f"target-{method.label}" + (f"-{seed}" if each else ""), make)

    def unlearned(self, method: MethodPlan, seed: int) -> tuple[Path, MethodFacts]:
        """Return the directory of what a method returned and the facts of how."""
        piece = f"unlearned-{method.label}-{seed}"
        if not self.run.has(f"facts-{piece}"):
            target, splits = self.shop.open(self.prepared(method, seed)), self.given.splits()
            self.progress.stage = f"{method.label} seed {seed}"
            model, facts, seconds = self.shop.removed(method, target, splits, seed, self.plan.recipe)
            if not self.run.has(piece):
                with self.run.finishing(piece) as directory:
                    model.save(directory)
            if not self.run.has(f"seconds-{piece}"):
                self.run.finish(f"seconds-{piece}", canonical_json(seconds))
            self.run.finish(f"facts-{piece}", canonical_json(facts.model_dump(mode="python")))
        return self.run.directory(piece), MethodFacts.model_validate(read_json(self.run.piece(f"facts-{piece}")))

    def settings(self) -> Settings:
        """Return how this plan verifies."""
        given = self.plan.verify
        return Settings(
            level=given.battery,
            attacks=given.attacks,
            metrics=given.metrics,
            unit_settings=given.settings,
            max_new_tokens=given.max_new_tokens,
            retain_rows=given.retain_rows,
            thresholds=self.plan.thresholds,
            seed=self.plan.seeds.verify,
        )

    def _record(self, label: str, make: Callable[[], Record]) -> Record:
        piece = f"record-{label}"
        if not self.run.has(piece):
            self.run.finish(piece, make().to_json())
        data = self.run.piece(piece)
        keep(self.store, self.run, "record", data)
        return Record.model_validate(read_json(data))

    def _verify(
        self, subjects: list[Subject], facts: MethodFacts, label: str, method: MethodPlan | None = None
    ) -> Record:
        request = {"id": self.run.request, "kind": self.plan.request.kind, "label": label, **self.commitments}
        plan = self.plan.plain()
        record = verify(
            subjects,
            self.given.measured(),
            method=facts,
            request=request,
            settings=self.settings(),
            extra=self.given.extra,
            plan=plan,
            shadows=self.shadows(method),
            recipe=self.shop.recipe(self.plan.targets[0])
            if self.plan.recipe and self.plan.model.directory is None
            else None,
            cache=self.cache,
            progress=self.progress,
        )
        return record.model_copy(update={"request": {**record.request, **self._searched_on(record)}})

    def _searched_on(self, record: Record) -> dict[str, str]:
        """Return whether the model that a searched set was found on is the target of this record, by its weights."""
        searched = self.plan.request.searched
        if searched is None:
            return {}
        same = any(one.role == "target" and one.content_digest == searched.target for one in record.models)
        return {"searched_on": "this target" if same else "another model"}

    def _subjects(self, target: Path, retrained: Sequence[Path] | None = None) -> list[Subject]:
        given = [Subject.at(target, "target", "target", self.placement)]
        for number, directory in enumerate(self.retrained() if retrained is None else retrained):
            given.append(Subject.at(directory, f"retrained-{number}", "retrained", self.placement))
        base = self.base_model()
        if base is not None:
            given.append(Subject.at(base, "base", "base", self.placement))
        if self.plan.model.architecture is not None:
            given.append(Subject.at(self.blank(), "untrained", "untrained", self.placement))
        return given

    def verified(self, method: MethodPlan, seed: int) -> Record:
        """Return the record of one method under one seed."""
        label = f"{method.label}-{seed}"
        if method.guard:
            return self._record(label, lambda: self._guarded(method, seed, label))

        def make() -> Record:
            directory, facts = self.unlearned(method, seed)
            unlearned = Subject.at(directory, "unlearned", "unlearned", self.placement)
            subjects = self._subjects(self.prepared(method, seed), self.retrained_as(method))
            record = self._verify([*subjects, unlearned], facts, label, method)
            seconds = read_json(self.run.piece(f"seconds-unlearned-{label}"))
            return record.model_copy(update={"cost": {**record.cost, "removal (s)": seconds}})

        return self._record(label, make)

    def _guarded(self, method: MethodPlan, seed: int, label: str) -> Record:
        directory = self.target(seed)
        target = self.shop.open(directory)
        unit = find("guard", method.name).create(method.settings)
        guarded = guard(unit, target, self.given.splits(), job=self.shop.job(seed))
        facts = MethodFacts(name=method.name, guard=method.name, settings=method.settings, seed=seed)
        subject = Subject("guarded", "guarded", lambda: target, directory, guarded)
        return self._verify([*self._subjects(directory), subject], facts, label)

    def anchors(self) -> list[Record]:
        """Return the records of doing nothing (to each target), and of a retrained model in the unlearned model's place."""
        each = self.plan.each_its_target
        nothing = [(f"{DO_NOTHING}-{seed}", seed) for seed in self.plan.targets] if each else [(DO_NOTHING, 0)]
        found = [
            self._record(label, partial(self._anchor, self.target(seed), DO_NOTHING, label, seed))
            for label, seed in nothing
        ]
        retrained = self.retrained()
        if len(retrained) > 1:
            found.append(
                self._record(SECOND, lambda: self._anchor(retrained[0], SECOND, SECOND, without="retrained-0"))
            )
        return found

    def _anchor(self, directory: Path, name: str, label: str, seed: int = 0, without: str = "") -> Record:
        given = self._subjects(directory if name == DO_NOTHING else self.target())
        subjects = [one for one in given if one.name != without]
        subject = Subject.at(directory, "unlearned", "unlearned", self.placement)
        return self._verify([*subjects, subject], MethodFacts(name=name, seed=seed), label)

    def records(self) -> list[Record]:
        """Do what is left to do and return the anchors' records, then every method's by seed."""
        found = self.anchors()
        for method in self.plan.method:
            found.extend(self.verified(method, seed) for seed in method.seeds)
        return found


def keep(store: Store, run: Run, kind: str, data: bytes) -> None:
    """Chain a finished piece as evidence, once: killed between the piece and its row, the next run makes up for it."""
    found = chain.rows(store.connection, "WHERE kind = ? AND run = ? AND object = ?", (kind, run.id, sha256(data)))
    if not found:
        store.append(kind, data, request=run.request, run=run.id)
