"""`expunge bench NAME`: a published protocol, every method asked for, several seeds, one table and page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from expunge.app import options as opt

if TYPE_CHECKING:
    from expunge.pipeline.plan import Plan


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
    seeds: Annotated[
        str | None,
        typer.Option("--seeds", help="Method seeds, comma between; default: 0 to 4, or to 2 where training is long."),
    ] = None,
    retrained: Annotated[
        str | None,
        typer.Option("--retrained-seeds", help="One retrained model a seed; default: ten from 101, or three."),
    ] = None,
    also: Annotated[
        str | None,
        typer.Option("--also", help="Columns to add: klom (20 seeds and 20 retrained seeds or more), ain."),
    ] = None,
    settings: opt.Set = None,
    trials: Annotated[
        int, typer.Option("--trials", help="Search every method's settings first, this often each; 0: its defaults.")
    ] = 0,
    steps: Annotated[int, typer.Option("--steps", help="Optimiser steps of every trial and removal searched.")] = 150,
    batch_size: Annotated[int, typer.Option("--batch-size", help="Rows a step of them.")] = 32,
    patience: Annotated[
        int, typer.Option("--patience", help="Rounds of one trial a method without gain that end the search.")
    ] = 6,
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
    from expunge.pipeline.benchmark import benchmark_plan, hours, notes, table, write_table
    from expunge.pipeline.over_models import with_also

    unit = find("benchmark", name).create(opt.read_settings(settings))
    protocol = with_also(unit.run(data), opt.read_names(also) or ())
    plan = benchmark_plan(
        name,
        protocol,
        opt.read_names(methods) or protocol.methods,
        seeds=range(protocol.seeds) if seeds is None else opt.read_seeds(seeds),
        retrained=range(101, 101 + protocol.retrained) if retrained is None else opt.read_seeds(retrained),
    )
    from expunge.facts.digest import canonical_json
    from expunge.pipeline.ready import check_plan_ready
    from expunge.pipeline.run import run_plan
    from expunge.pipeline.search import Budget
    from expunge.pipeline.searched import check_searchable, searched_plan
    from expunge.pipeline.tune import search_table
    from expunge.pipeline.tuned import tuned_plan, words
    from expunge.report.page import write
    from expunge.store.atomic import write_atomic
    from expunge.store.store import Store

    if protocol.search:
        check_searchable(plan)
    check_plan_ready(plan, Path.cwd())
    base, placement = Path.cwd(), opt.placement(device, dtype, threads)
    if trials:
        budget = Budget(trials=trials, steps=steps, batch_size=batch_size, patience=patience)
        plan, search = tuned_plan(
            plan, out / "store", budget=budget, base=base, placement=placement, progress=opt.bars(quiet)
        )
        write_atomic(out / "search.json", canonical_json(search))
        write_table(search_table(search), out / "search.md", f"Search before {name} ({search['run']})", [words(search)])
        protocol = replace(protocol, notes=(*protocol.notes, words(search)))
    plans = {"": plan}
    with Store.open(out / "store") as store:
        if protocol.search:
            run_id, bars = _run_id(plan), opt.bars(quiet)
            found = searched_plan(
                plan, protocol.search, store, run_id=run_id, base=base, placement=placement, progress=bars
            )
            plans = {"": found, "-random": plan}
        for ending, one in plans.items():
            run_id = _run_id(one)
            records = run_plan(one, store, run_id=run_id, base=base, placement=placement, progress=opt.bars(quiet))
            with store.run(run_id, one.request.id, plan=canonical_json(one.plain())) as run:
                took = hours(run, records)
            lines = [*notes(unit.about, protocol, one, records), "", took]
            title = " ".join((name + ending, *(settings or ())))
            path, page = out / f"table{ending}.md", out / f"report{ending}.html"
            write_table(table(records, protocol.columns), path, f"{title} ({run_id})", lines)
            write(page, records, title=f"Benchmark {title}")
            typer.echo(path.read_text())
            typer.echo(f"page: {page}")


def _run_id(plan: Plan) -> str:
    """Return the name of a plan's run: what was finished of the same plan is not done again."""
    return f"{plan.request.id}-{plan.digest()[:8]}"
