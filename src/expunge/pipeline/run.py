"""Run a plan to its end, and sign what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from expunge.certificate.issue import issue
from expunge.certificate.keys import load_private_key
from expunge.facts.digest import canonical_json
from expunge.facts.record import Record
from expunge.pipeline.loading import Placement
from expunge.pipeline.plan import Plan
from expunge.pipeline.progress import Bars
from expunge.pipeline.ready import check_plan_ready, source_rows
from expunge.pipeline.remove import signing_key
from expunge.pipeline.river import DO_NOTHING, SECOND, River, keep
from expunge.store.atomic import write_atomic
from expunge.store.run import Run
from expunge.store.store import Store


def run_plan(
    plan: Plan,
    store: Store,
    *,
    run_id: str,
    base: Path | None = None,
    placement: Placement | None = None,
    progress: Bars | None = None,
) -> list[Record]:
    """Run a plan to its end under `run_id` (resuming what was finished) and return its records.

    The forget rows are committed to, and the plan is chained, before any model is trained or measured.
    """
    base = base or Path()
    given = check_plan_ready(plan, base)
    commitment = store.open_request(plan.request.id, given.rows["forget"], kind=plan.request.kind)
    with store.run(run_id, plan.request.id, plan=canonical_json(plan.plain())) as run:
        facts = {"commitment": commitment.combined}
        river = River(plan, store, run, given, base, placement or Placement(), progress or Bars(), facts)
        return river.records()


def certify_run(
    plan: Plan,
    store: Store,
    run_id: str,
    records: Sequence[Record],
    out: Path | None = None,
    base: Path | None = None,
    key: Path | None = None,
) -> dict[str, str]:
    """Sign one certificate a record of a removal and return them as text by record digest; anchors get none.

    They are kept as pieces and as evidence, and written into `out` where it is given.
    """
    base = base or Path()
    forget = source_rows(plan, base)["forget"]
    signed = {}
    with store.run(run_id, plan.request.id, plan=canonical_json(plan.plain())) as run:
        for record in records:
            label = str(record.request["label"])
            if record.method.name in (DO_NOTHING, SECOND):
                continue
            piece = f"certificate-{label}"
            if not run.has(piece):
                target = _target_of(plan, run, base, record)
                child = target if record.method.guard is not None else run.directory(f"unlearned-{label}")
                signer = load_private_key(signing_key(store, key))
                data = issue(record, signer, child, forget=forget, target_dir=target, ledger_head=store.head())
                run.finish(piece, data)
            data = run.piece(piece)
            keep(store, run, "certificate", data)
            if out is not None:
                write_atomic(out / f"{plan.request.id}-{label}.json", data)
            signed[record.digest()] = data.decode()
    return signed


def _target_of(plan: Plan, run: Run, base: Path, record: Record) -> Path:
    """Return the directory of the model that a record's removal started from."""
    label, seed = str(record.request["label"]), record.method.seed
    shared = (f"target-{label.removesuffix(f'-{seed}')}", "target")
    pieces = (f"target-{label}", f"target-{seed}") if plan.each_its_target else shared
    made = next((piece for piece in pieces if run.has(piece)), None)
    return run.directory(made) if made else base / str(plan.model.directory)
