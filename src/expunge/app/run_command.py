"""`expunge run PLAN`: the whole river from one file; run again after a kill, it goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from expunge.app import options as opt
from expunge.app.table import print_table
from expunge.store.names import safe_name


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run")(run)


def run(
    plan: Annotated[Path, typer.Argument(help="A plan (TOML).")],
    name: Annotated[
        str, typer.Option("--name", help="Name of the run; the same name resumes. Default: from the plan's hash.")
    ] = "",
    out: Annotated[Path | None, typer.Option("--out", help="File for the page.")] = None,
    certificates: Annotated[
        Path | None, typer.Option("--certificates", help="Folder for the certificates; the store keeps them as well.")
    ] = None,
    device: opt.Device = "cpu",
    dtype: opt.Dtype = "float32",
    threads: opt.Threads = 0,
    store: opt.Store = opt.DEFAULT_STORE,
    key: opt.Key = None,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Train or load, remove with every method and seed, attack, verify, certify, and write records and a page."""
    from expunge.pipeline.plan import read_plan

    checked = read_plan(plan)
    placement = opt.placement(device, dtype, threads)
    from expunge.certificate.keys import load_private_key
    from expunge.pipeline.ready import check_plan_ready
    from expunge.pipeline.run import certify_run, run_plan
    from expunge.report.page import write
    from expunge.store.store import Store

    check_plan_ready(checked, plan.parent)
    if key is not None:
        load_private_key(key)
    run_id = safe_name(name or f"run-{checked.digest()[:12]}", "run")
    with Store.open(store) as opened:
        bars = opt.bars(quiet)
        records = run_plan(checked, opened, run_id=run_id, base=plan.parent, placement=placement, progress=bars)
        signed = certify_run(checked, opened, run_id, records, certificates, plan.parent, key)
    if as_json:
        typer.echo("[" + ",".join(record.to_json().decode() for record in records) + "]")
    else:
        print_table(records)
        typer.echo(f"run: {run_id}")
    if out is not None:
        write(out, records, title=f"Run {run_id}", certificates=signed)
        typer.echo(f"written: {out}", err=as_json)
