"""`expunge run PLAN`: the whole river from one file; run again after a kill, it goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from expunge.app import options as opt
from expunge.app.table import print_table


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run")(run)


def run(
    plan: Annotated[Path, typer.Argument(help="A plan (TOML).")],
    name: Annotated[
        str, typer.Option("--name", help="Name of the run; the same name resumes. Default: from the plan's hash.")
    ] = "",
    out: Annotated[Path | None, typer.Option("--out", help="File for the page.")] = None,
    device: opt.Device = "cpu",
    dtype: opt.Dtype = "float32",
    threads: opt.Threads = 0,
    store: opt.Store = opt.DEFAULT_STORE,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Train or load, remove with every method and seed, attack, verify, and write records and a page."""
    from expunge.pipeline.plan import read_plan

    checked = read_plan(plan)
    from expunge.pipeline.run import run_plan
    from expunge.report.page import write
    from expunge.store.store import Store

    run_id = name or f"run-{checked.digest()[:12]}"
    with Store.open(store) as opened:
        records = run_plan(
            checked,
            opened,
            run_id=run_id,
            base=plan.parent,
            placement=opt.placement(device, dtype, threads),
            progress=opt.bars(quiet),
        )
    if as_json:
        typer.echo("[" + ",".join(record.to_json().decode() for record in records) + "]")
    else:
        print_table(records)
        typer.echo(f"run: {run_id}")
    if out is not None:
        write(out, records, title=f"Run {run_id}")
        typer.echo(f"written: {out}")
