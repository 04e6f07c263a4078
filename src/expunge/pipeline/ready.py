"""Refuse what can be refused before a model is trained, a store is opened or a file is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from expunge.contract.apply import check_offers
from expunge.contract.model import Model
from expunge.contract.registry import Listing, find
from expunge.contract.scope import layer_numbers
from expunge.contract.splits import SPLITS
from expunge.facts.errors import InputError, nearest
from expunge.facts.rows import Rows
from expunge.pipeline.build import modality_built, public_text, untrained
from expunge.pipeline.given import BASE, BESIDE, Given
from expunge.pipeline.loading import check_directory, load_model
from expunge.pipeline.plan import MethodPlan, Plan

HOLDS = {"vision": "image", "tabular": "features"}
"""The field that rows for a model of arrays hold."""
AT_ONCE = 1024
"""Rows packed at once to see whether a model can read them."""
MANY_LAYERS = 1_000_000
"""More than any model has: a scope is checked for its form before the depth is known."""


def check_out(out: Path) -> None:
    """Refuse a place for new output that is not empty, or is no directory."""
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file", do="name a new directory with --out")
    if out.is_dir() and any(out.iterdir()):
        raise InputError(f"{out} exists already and is not empty", do="name a new directory with --out")


def check_scope(listing: Listing, scope: str, model: Model | None = None) -> None:
    """Refuse a scope that a method does not work in, that is misspelt, or (with the model) that asks for layers it has not."""
    word, known = scope.partition(":")[0], listing.about.scope
    if word not in known:
        raise InputError(
            f"{listing.name} works in the scopes {', '.join(known)}, not {scope!r}; the nearest is {nearest(word, known)!r}",
            do="use full, lora or layers:0-3",
        )
    if word == "layers":
        layer_numbers(scope, len(model.sites().blocks) if model is not None else MANY_LAYERS)


def check_kind(rows: Mapping[str, Rows], modality: str, where: str = "") -> None:
    """Refuse rows of another kind than the model reads: texts, images or tables."""
    if modality not in ("text", *HOLDS):
        return
    for name, split in rows.items():
        for row in split:
            kind = next((kind for kind, field in HOLDS.items() if field in row.fields), "text")
            if kind != modality:
                given = (
                    f"the source {where} gives {kind} rows" if where else f"row {row.id!r} of {name} is a {kind} row"
                )
                needed = f"{HOLDS[modality]} and label" if modality in HOLDS else "question and answer, or text"
                raise InputError(f"{given}, and this is a {modality} model", do=f"give rows of {needed}")


def check_rows(rows: Mapping[str, Rows], modality: str, model: Callable[[], Model]) -> None:
    """Refuse rows of another kind than the model reads; every array and label of a model of arrays is read once."""
    check_kind(rows, modality)
    if modality not in HOLDS:
        return
    reader = model()
    for split in rows.values():
        for start in range(0, len(split), AT_ONCE):
            reader.pack(split[start : start + AT_ONCE])


def source_rows(plan: Plan, base: Path) -> dict[str, Rows]:
    """Return every set of rows that the plan's source gives; a setting that names a file beside the plan is that file."""
    settings: dict[str, Any] = dict(plan.request.settings)
    for name, value in settings.items():
        if isinstance(value, str) and value and _may_be_a_path(value) and (base / value).exists():
            settings[name] = str(base / value)
    return dict(find("source", plan.request.source).create(settings).run())


def _may_be_a_path(value: str) -> bool:
    """Return False for a text (a long list of row ids) that no file system takes for a name."""
    return all(len(part.encode()) < 256 for part in Path(value).parts) and len(value.encode()) < 4096


def check_plan_ready(plan: Plan, base: Path) -> Given:
    """Return the source's rows where the plan can be run on them; else say what cannot, before anything is trained or written."""
    given = Given.of(source_rows(plan, base))
    if plan.model.directory is not None:
        modality = check_directory(base / plan.model.directory)
        for directory in plan.model.retrained:
            check_directory(base / directory)
    elif plan.model.base is not None:
        modality = check_directory(base / plan.model.base)
    else:
        modality = modality_built(plan.model.architecture or "", given.rows)
        public_text(plan.model, base)
    if plan.model.directory is not None and plan.model.base is not None:
        check_directory(base / plan.model.base)
    _check_base(plan, given)
    if plan.recipe is not None and not len(given.rows.get("retain", ())):
        raise InputError("there are no retain rows to train a model on", do="give the source a retain set")
    if plan.verify.shadows and not len(given.rows.get("holdout", ())):
        raise InputError(
            "verify.shadows trains models on half of the holdout rows, and the source gives none",
            do="give the source holdout rows, or leave shadows out",
        )
    served = find("source", plan.request.source).about.modalities
    if modality not in served:
        raise InputError(
            f"the source {plan.request.source} gives {', '.join(served)} rows, and this is a {modality} model"
        )
    every = {**given.rows, **given.extra, BESIDE: given.beside, BASE: given.base}
    check_kind(every, modality, plan.request.source)
    for method in plan.method:
        _check_method(method, given.rows, modality, plan)
    if modality in HOLDS:
        reader = _reader(plan, base, given)
        check_rows(every, modality, lambda: reader)
        for method in plan.method:
            for listing in _listings(method):
                check_offers(listing.about.needs, listing.name, reader)
    return given


def _reader(plan: Plan, base: Path, given: Given) -> Model:
    """Return a model that reads rows as the plan's do."""
    directory = plan.model.directory or plan.model.base
    return (
        untrained(plan.model, given.rows, plan.targets[0], base) if directory is None else load_model(base / directory)
    )


def _check_base(plan: Plan, given: Given) -> None:
    if len(given.base) and plan.model.architecture is None:
        raise InputError(
            f"the source {plan.request.source} gives base_training rows, which train a base model of an architecture",
            do="give model.architecture in place of model.directory or model.base",
        )
    if plan.base_recipe is not None and not len(given.base):
        raise InputError(
            f"[base_recipe] trains a base model, and the source {plan.request.source} gives no base_training rows"
        )


def _listings(method: MethodPlan) -> list[Listing]:
    """Return the units that a method of a plan is made of."""
    found = [find("guard" if method.guard else "method", method.name)]
    return found if method.locator is None else [*found, find("locator", method.locator)]


def _check_method(method: MethodPlan, rows: Mapping[str, Rows], modality: str, plan: Plan) -> None:
    listings = _listings(method)
    if not method.guard:
        check_scope(listings[0], method.scope)
    for listing in listings:
        about = listing.about
        if modality not in about.modalities:
            raise InputError(
                f"{listing.name} serves {', '.join(about.modalities)}, and this is a {modality} model",
                do=f"expunge units --kind {listing.kind} --for {modality} lists those that serve it",
            )
        for need in about.needs:
            if need in SPLITS and not len(rows.get(need, ())):
                raise InputError(
                    f"{listing.name} needs {need} rows and the source gives none", do=f"give the source a {need} set"
                )
        if ("recipe" in about.needs or about.before_training) and plan.recipe is None:
            raise InputError(f"{listing.name} trains again and needs a recipe", do="give [recipe] in the plan")
