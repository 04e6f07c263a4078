"""A second request for a plan: the forget set of its size that is hardest on its own target, found by a search."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from expunge.contract.job import Job
from expunge.contract.registry import find
from expunge.engine.worst_case import Search, worst_case
from expunge.facts.digest import canonical_json, read_json, safetensors_digest, sha256
from expunge.facts.errors import InputError
from expunge.facts.rows import Rows
from expunge.pipeline.given import Given
from expunge.pipeline.loading import Placement, load_model
from expunge.pipeline.plan import Plan, check_plan
from expunge.pipeline.progress import Bars
from expunge.pipeline.ready import check_plan_ready
from expunge.pipeline.river import River
from expunge.store.run import Run
from expunge.store.store import Store

SEARCHED = "searched"
"""What pieces of a run that hold what a search chose, and requests that ask for these rows, are called by."""
NEEDED = ("forget", "holdout_ids")
"""Settings by which a source is asked for rows by their ids."""


def check_searchable(plan: Plan) -> None:
    """Refuse a plan whose target or source a set cannot be searched for."""
    if plan.each_its_target:
        raise InputError(
            "a forget set is searched on one target, and here each seed of a method starts from a target of its own",
            do="leave --also klom out",
        )
    if plan.request.searched is not None:
        raise InputError("the forget rows of this plan were searched already", do="leave request.searched out")
    known = {knob.name for knob in find("source", plan.request.source).knobs}
    missing = [name for name in NEEDED if name not in known]
    if missing:
        raise InputError(
            f"the source {plan.request.source} has no setting {missing[0]!r}, by which rows that a search chose are asked for",
            do="use the source digits or mnist",
        )


def searched_plan(
    plan: Plan,
    search: Mapping[str, Any],
    store: Store,
    *,
    run_id: str,
    base: Path | None = None,
    placement: Placement | None = None,
    progress: Bars | None = None,
) -> Plan:
    """Return `plan` with its forget rows exchanged for as many that stay known longest when its target unlearns them.

    The target is trained, and searched, as pieces of the run `run_id` of `plan`. Holdout rows stay what they are, so that forget and
    retain rows together, and with them the target, are the same in both plans. No retrained model, method, holdout or test row has
    a part in the choice.
    """
    check_searchable(plan)
    settings, base, placement = Search(**search), base or Path(), placement or Placement()
    given, seed = check_plan_ready(plan, base), plan.targets[0]
    commitment = store.open_request(plan.request.id, given.rows["forget"], kind=plan.request.kind)
    with store.run(run_id, plan.request.id, plan=canonical_json(plan.plain())) as run:
        facts = {"commitment": commitment.combined}
        progress = progress or Bars()
        target = River(plan, store, run, given, base, placement, progress, facts).target()
        piece = f"{SEARCHED}-{_short(asdict(settings))}"
        if not run.has(piece):
            progress.stage = SEARCHED
            _search(target, given, settings, Job(seed=seed, progress=progress), placement, run, piece)
        chosen = read_json(run.piece(piece))
    asked = {"forget": "ids=" + ",".join(chosen["forget"])}
    if len(given.rows.get("holdout", ())):
        asked["holdout_ids"] = ",".join(given.rows["holdout"].ids)
    how = {"target": chosen["target"], "among": chosen["among"], "seed": seed, "settings": asdict(settings)}
    request = {
        **plan.request.model_dump(mode="json"),
        "id": f"{plan.request.id}-{SEARCHED}-{_short(chosen['forget'])}",
        "settings": {**plan.request.settings, **asked},
        "searched": how,
    }
    return check_plan({**plan.plain(), "request": request}, where=f"{plan.request.id}, searched")


def _short(value: Any) -> str:
    """Return what tells one search, or one set of rows, from another in a name."""
    return sha256(canonical_json(value))[:8]


def _search(target: Path, given: Given, search: Search, job: Job, placement: Placement, run: Run, piece: str) -> None:
    """Keep the ids that the search chose among the rows that the target was trained on, and what it chose them on."""
    rows = Rows(tuple(sorted((*given.rows["forget"], *given.rows["retain"]), key=lambda row: row.id)), "train")
    started = time.perf_counter()
    found = worst_case(load_model(target, placement), rows, len(given.rows["forget"]), search, job=job)
    if not run.has(f"seconds-{piece}"):
        run.finish(f"seconds-{piece}", canonical_json(time.perf_counter() - started))
    chosen = {
        "forget": list(rows.take(found.rows).ids),
        "target": safetensors_digest(target),
        "among": len(rows),
        "losses": list(found.losses),
    }
    run.finish(piece, canonical_json(chosen))
