"""The plan of a run: one TOML file, checked before any model is loaded, hashed into the record before the run."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from expunge.contract.about import BATTERIES
from expunge.contract.registry import find, units
from expunge.facts.digest import canonical_json, sha256
from expunge.facts.errors import InputError, nearest
from expunge.facts.recipe import Recipe
from expunge.facts.record import Thresholds
from expunge.store.names import safe_name


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SearchedPlan(_Section):
    """How the forget rows were chosen, where a search chose them (engine/worst_case.py).

    `target` is the content digest of the model it ran on, `among` the number of rows that model was trained on, `settings` the search's.
    It says where the ids in the source's settings come from and is not run again; a record says whether its target was that model.
    """

    target: str
    among: int
    seed: int = 0
    settings: dict[str, Any] = Field(default_factory=dict)


class RequestPlan(_Section):
    """What must be forgotten, and where the rows come from: a source unit with its settings."""

    id: str = "request"
    kind: Literal["data", "knowledge", "concept", "behaviour"] = "data"
    source: str = "records"
    settings: dict[str, Any] = Field(default_factory=dict)
    searched: SearchedPlan | None = None


class ModelPlan(_Section):
    """The target: a `directory`, or trained by the recipe: an `architecture` (its settings in `settings`) or a `base` model.

    `base` is the directory of the model that target and retrained models are trained from. Beside `directory` it says what that target
    was tuned from: without it, retrained models start from newly drawn weights.
    """

    directory: Path | None = None
    base: Path | None = None
    architecture: str | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    retrained: tuple[Path, ...] = ()

    @model_validator(mode="after")
    def _one_of(self) -> ModelPlan:
        given = [name for name in ("directory", "architecture", "base") if getattr(self, name) is not None]
        if len(given) != 1 and given != ["directory", "base"]:
            raise ValueError(
                "give either directory or architecture, or base, or directory and the base it was tuned from"
            )
        return self


class MethodPlan(_Section):
    """One method with its settings, optimiser scope, locator and seeds; or a guard.

    `title` is what tables call it: needed where two entries differ in their settings only.
    """

    name: str
    title: str = ""
    settings: dict[str, Any] = Field(default_factory=dict)
    scope: str = "full"
    locator: str | None = None
    locator_settings: dict[str, Any] = Field(default_factory=dict)
    guard: bool = False
    seeds: tuple[int, ...] = (0,)

    @property
    def label(self) -> str:
        """Title, else name with its locator and scope: what tables, pieces and records call this row."""
        scope = self.scope.replace(":", "=").replace(",", "+")
        parts = [
            self.name,
            *([f"+{self.locator}"] if self.locator else []),
            *([f"@{scope}"] if scope != "full" else []),
        ]
        return self.title or "".join(parts)


class VerifyPlan(_Section):
    """Which battery, metrics and attacks; how much to generate and to look at.

    `shadows` is the number of shadow models of each kind that are trained for attacks that compare with them (LiRA, U-LiRA, RMIA).
    """

    battery: Literal["quick", "standard", "full"] = "standard"
    attacks: tuple[str, ...] | None = None
    metrics: tuple[str, ...] | None = None
    max_new_tokens: int = 64
    retain_rows: int = 400
    shadows: int = Field(default=0, ge=0)
    settings: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _halved(self) -> VerifyPlan:
        if self.shadows and (self.shadows < 4 or self.shadows % 2):
            raise ValueError(
                f"shadows must be 0, or even and at least 4, not {self.shadows}: each row is in half of the models, "
                "and one model a side shows no spread"
            )
        return self


class SeedPlan(_Section):
    """Seeds of the target, of the retrained models (one each), of the verification; `shadows` is the first shadow model's.

    With `target = "method"` each seed of a method starts from a target of its own, trained under that seed: what a method gives is
    then a distribution over trainings, as the retrained models are.
    """

    target: int | Literal["method"] = 0
    retrained: tuple[int, ...] = (101, 102, 103)
    shadows: int = 1000
    verify: int = 0


class Plan(_Section):
    """A whole run."""

    request: RequestPlan = Field(default_factory=RequestPlan)
    model: ModelPlan
    recipe: Recipe | None = None
    base_recipe: Recipe | None = None
    """How a base model is trained on the source's base_training rows, where it gives them; the recipe where this is left out."""
    method: tuple[MethodPlan, ...]
    verify: VerifyPlan = Field(default_factory=VerifyPlan)
    thresholds: Thresholds = Field(default_factory=Thresholds)
    seeds: SeedPlan = Field(default_factory=SeedPlan)

    @model_validator(mode="after")
    def _trainable(self) -> Plan:
        if self.model.directory is None and self.recipe is None:
            raise ValueError("a model that is trained here needs [recipe]")
        if self.base_recipe is not None and self.model.architecture is None:
            raise ValueError("[base_recipe] trains a base model, which needs model.architecture")
        if self.model.directory is not None and self.each_its_target:
            raise ValueError('seeds.target = "method" trains targets: leave model.directory out')
        if self.model.directory is not None and self.recipe is None and any(m.name == "retrain" for m in self.method):
            raise ValueError("retrain needs [recipe]")
        return self

    @model_validator(mode="after")
    def _shadowed(self) -> Plan:
        if not self.verify.shadows:
            return self
        if self.recipe is None:
            raise ValueError("verify.shadows trains models: give [recipe], by which the target was trained")
        taken = range(self.seeds.shadows, self.seeds.shadows + 3 * self.verify.shadows)
        if set(taken) & {*self.targets, *self.seeds.retrained}:
            raise ValueError(
                f"shadow models take the seeds {taken[0]} to {taken[-1]}, and a model compared with them has one of those: "
                "set seeds.shadows to another number"
            )
        return self

    @model_validator(mode="after")
    def _told_apart(self) -> Plan:
        if not self.method:
            raise ValueError("there is no [[method]]")
        runs = [f"{method.label}-{seed}" for method in self.method for seed in method.seeds]
        twice = sorted({run for run in runs if runs.count(run) > 1})
        if twice:
            raise ValueError(
                f"two runs are called {twice[0]!r}: give each [[method]] a title of its own, or other seeds"
            )
        return self

    @property
    def each_its_target(self) -> bool:
        """True where each seed of a method starts from a target of its own."""
        return self.seeds.target == "method"

    @property
    def targets(self) -> tuple[int, ...]:
        """Seeds of the targets: the one, or those of the methods."""
        if self.seeds.target == "method":
            return tuple(dict.fromkeys(seed for one in self.method for seed in one.seeds))
        return (self.seeds.target,)

    def plain(self) -> dict[str, Any]:
        """Return the resolved plan as plain values, every default written out; `request.searched` stands there only where rows were."""
        found = self.model_dump(mode="json")
        if self.request.searched is None:
            del found["request"]["searched"]
        return found

    def digest(self) -> str:
        """Return the sha256 of the resolved plan."""
        return sha256(canonical_json(self.plain()))


def read_plan(path: Path) -> Plan:
    """Read and check a plan: unknown sections, keys, units and settings are errors that name the nearest known one."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"the plan {path} cannot be read: {error.strerror}", do="give the path of a TOML file"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid TOML: {error}", do="mend the line it names") from error
    return check_plan(raw, where=str(path))


def check_plan(raw: dict[str, Any], *, where: str = "plan") -> Plan:
    """Return the plan of plain values; see read_plan."""
    try:
        plan = Plan.model_validate(raw)
    except ValidationError as error:
        found = error.errors()
        first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
        place = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = _known_keys(tuple(str(part) for part in first["loc"][:-1]))
            near = nearest(str(first["loc"][-1]), known)
            raise InputError(
                f"{where}: there is no key {place!r}; the nearest is {near!r}", do=f"use one of: {', '.join(known)}"
            ) from None
        words = first["msg"].removeprefix("Value error, ")
        given = f", not {first['input']!r}" if first["type"] == "literal_error" else ""
        raise InputError(f"{where}: {place or 'the plan'}: {words}{given}") from None
    try:
        _check_units(plan)
    except InputError as error:
        raise InputError(f"{where}: {error.what}", causes=error.causes, do=error.do) from error
    return plan


def _known_keys(place: tuple[str, ...]) -> tuple[str, ...]:
    model: type[BaseModel] = Plan
    inner: dict[str, type[BaseModel]] = {
        "request": RequestPlan, "searched": SearchedPlan, "model": ModelPlan, "recipe": Recipe, "base_recipe": Recipe,
        "method": MethodPlan, "verify": VerifyPlan, "thresholds": Thresholds, "seeds": SeedPlan,
    }  # fmt: skip
    for part in place:
        model = inner.get(part, model)
    return tuple(model.model_fields)


def _check_units(plan: Plan) -> None:
    find("source", plan.request.source).create(plan.request.settings)
    safe_name(plan.request.id, "request")
    for method in plan.method:
        safe_name(method.label, "method's run")
        listing = find("guard" if method.guard else "method", method.name)
        listing.create(method.settings)
        if method.locator is not None:
            find("locator", method.locator).create(method.locator_settings)
    for name in plan.verify.attacks or ():
        find("attack", name)
    margins = (name.partition("/")[0] for name in plan.thresholds.indistinguishable_margins)
    for name in (*(plan.verify.metrics or ()), *margins):
        find("metric", name)
    if plan.verify.shadows and not any("shadows" in find("attack", name).about.reads for name in _attacks(plan.verify)):
        raise InputError(
            f"verify.shadows trains {plan.verify.shadows} shadow models of each kind, and no attack of this plan reads them",
            do='set verify.battery = "full", name lira, u_lira or rmia in verify.attacks, or leave shadows out',
        )
    for name, settings in plan.verify.settings.items():
        kind = "attack" if name in units("attack") else "metric"
        find(kind, name).create(settings)


def _attacks(plan: VerifyPlan) -> list[str]:
    """Return the attacks named, else those of the battery."""
    if plan.attacks is not None:
        return list(plan.attacks)
    held = BATTERIES[: BATTERIES.index(plan.battery) + 1]
    return [name for name, found in units("attack").items() if found.about.battery in held]
