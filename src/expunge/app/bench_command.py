"""`expunge bench NAME`: a published protocol, every method asked for, several seeds, one table and page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from expunge.app import options as opt


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("bench")(bench)


def bench(
    name: Annotated[str, typer.Argument(help="A benchmark; see expunge units --kind benchmark.")],
    data: Annotated[
        Path | None, typer.Option("--data", help="File or folder of the benchmark's data; some make their own.")
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option("--methods", help="Methods, comma between; name+locator composes; default: the benchmark's own."),
    ] = None,
    seeds: Annotated[str, typer.Option("--seeds", help="Method seeds, comma between.")] = "0,1,2",
    retrained: Annotated[str, typer.Option("--retrained-seeds", help="One retrained model a seed.")] = "101,102,103",
    also: Annotated[
        str | None,
        typer.Option("--also", help="Columns to add: klom (20 seeds and 20 retrained seeds or more), ain."),
    ] = None,
    settings: opt.Set = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for the store, the table and the page.")] = Path(
        "bench-run"
    ),
    device: opt.Device = "cpu",
    dtype: opt.Dtype = "float32",
    threads: opt.Threads = 0,
    quiet: opt.Quiet = False,
) -> None:
    """Train target and retrained models, run every method and seed, verify and attack, write a table and a page; resumes."""
    from expunge.contract.registry import find
    from expunge.facts.digest import canonical_json
    from expunge.pipeline.benchmark import benchmark_plan, hours, notes, table, write_table
    from expunge.pipeline.over_models import with_also

    unit = find("benchmark", name).create(opt.read_settings(settings))
    protocol = with_also(unit.run(data), opt.read_names(also) or ())
    plan = benchmark_plan(
        name,
        protocol,
        opt.read_names(methods) or protocol.methods,
        seeds=opt.read_seeds(seeds),
        retrained=opt.read_seeds(retrained),
    )
    from expunge.pipeline.ready import check_plan_ready
    from expunge.pipeline.run import run_plan
    from expunge.report.page import write
    from expunge.store.store import Store

    check_plan_ready(plan, Path.cwd())
    run_id = f"bench-{name}-{plan.digest()[:8]}"
    placement = opt.placement(device, dtype, threads)
    with Store.open(out / "store") as store:
        records = run_plan(plan, store, run_id=run_id, base=Path.cwd(), placement=placement, progress=opt.bars(quiet))
        with store.run(run_id, plan.request.id, plan=canonical_json(plan.plain())) as run:
            took = hours(run, records)
    rows = table(records, protocol.columns)
    lines = [*notes(unit.about, protocol, plan, records), "", took]
    title = " ".join((name, *(settings or ())))
    write_table(rows, out / "table.md", f"{title} ({run_id})", lines)
    write(out / "report.html", records, title=f"Benchmark {title}")
    typer.echo((out / "table.md").read_text())
    typer.echo(f"page: {out / 'report.html'}")
