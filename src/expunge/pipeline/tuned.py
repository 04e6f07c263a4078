"""A plan with the settings that one search under one budget chose for its methods."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from expunge.contract.registry import find, settings_of
from expunge.facts.errors import InputError
from expunge.pipeline.loading import Placement
from expunge.pipeline.plan import MethodPlan, Plan
from expunge.pipeline.progress import Bars
from expunge.pipeline.search import Budget, ranges
from expunge.pipeline.tune import tune


def searchable(method: MethodPlan) -> bool:
    """True where `expunge tune` has something to search: a range of the unit's own, or a learning rate."""
    if method.guard:
        return False
    unit = find("method", method.name)
    return bool(ranges(unit, settings_of(unit.create(method.settings))))


def tuned_plan(
    plan: Plan,
    store: Path,
    *,
    budget: Budget,
    base: Path | None = None,
    placement: Placement | None = None,
    progress: Bars | None = None,
) -> tuple[Plan, dict[str, Any]]:
    """Search the methods that can be searched, all under one budget; return the plan with what was chosen, and the search.

    Methods with nothing to search (retraining, SISA) and those of which no trial could be run keep the settings that they have.
    Raises InputError where no method can be searched, and as `tune` does: a plan that trains no model of its own, seeds that the plan
    reports under, too few retain rows.
    """
    names = [method.label for method in plan.method if searchable(method)]
    if not names:
        listed = ", ".join(method.label for method in plan.method)
        raise InputError(f"of {listed} none has anything to search", do="leave out the search, or name other methods")
    found = tune(plan, store, names=names, budget=budget, base=base, placement=placement, progress=progress)
    chosen = {label: search["use"] for label, search in found["methods"].items() if search["use"] is not None}
    methods = [one.model_copy(update={"settings": chosen.get(one.label, one.settings)}) for one in plan.method]
    return plan.model_copy(update={"method": tuple(methods)}), found


def words(found: Mapping[str, Any]) -> str:
    """Return how a search went, for the notes above a table."""
    budget, rows, seeds = found["budget"], found["rows"], found["seeds"]
    failed = [label for label, search in found["methods"].items() if search["use"] is None]
    return (
        f"Settings were searched alike for every method: at most {budget['trials']} trials (its own settings among them) of "
        f"{budget['steps']} steps of {budget['batch_size']} rows, on a second request of {rows['forget']} of the retain rows with models "
        f"of the seeds {seeds['models']}. Ended: {found['stopped']}. Objective of doing nothing there: {found['do_nothing']:.3f}."
        + (f" No trial could be run of {', '.join(failed)}." if failed else "")
    )
