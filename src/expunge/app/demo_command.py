"""`expunge demo`: the whole river on data that the package makes itself."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from expunge.app import options as opt
from expunge.app.plans import DIGITS, PEOPLE
from expunge.app.table import print_table


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(demo)


def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for the store, models, certificates and the page.")] = Path(
        "demo-run"
    ),
    threads: opt.Threads = 0,
    quiet: opt.Quiet = False,
) -> None:
    """Train, remove, attack, verify, certify: fictitious people in a small language model, real digits in a classifier."""
    from expunge.pipeline.plan import check_plan
    from expunge.pipeline.run import certify_run, run_plan
    from expunge.report.page import write
    from expunge.store.store import Store

    started = time.monotonic()
    records, certificates = [], {}
    with Store.open(out / "store") as store:
        for plan in (check_plan(PEOPLE), check_plan(DIGITS)):
            placement = opt.placement("cpu", "float32", threads)
            run_id = f"demo-{plan.request.id}"
            found = run_plan(plan, store, run_id=run_id, placement=placement, progress=opt.bars(quiet))
            certificates.update(certify_run(plan, store, run_id, found, out / "certificates"))
            typer.echo(f"\n{plan.request.id}")
            print_table(found)
            records.extend(found)
    page = out / "report.html"
    write(page, records, title="Expunge demo", certificates=certificates)
    typer.echo(f"\npage: {page}\ncertificates: {out / 'certificates'}\ntime: {time.monotonic() - started:.0f} s")
