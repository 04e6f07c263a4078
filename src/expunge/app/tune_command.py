"""`expunge tune PLAN`: search every method's settings under one budget, on a request that is not the one reported."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from expunge.app import options as opt


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("tune")(tune)


def tune(
    plan: Annotated[Path, typer.Argument(help="A plan (TOML) with an architecture, a recipe and methods.")],
    methods: Annotated[
        str | None, typer.Option("--methods", help="Methods of the plan by label, comma between; default: all.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for search.json and table.md.")] = None,
    trials: Annotated[int, typer.Option("--trials", help="Trials of every method.")] = 12,
    steps: Annotated[int, typer.Option("--steps", help="Optimiser steps of every trial.")] = 60,
    batch_size: Annotated[int, typer.Option("--batch-size", help="Rows a step.")] = 16,
    patience: Annotated[
        int, typer.Option("--patience", help="Rounds of one trial a method without gain that end it.")
    ] = 6,
    retrained: Annotated[int, typer.Option("--retrained", help="Retrained models of the validation request.")] = 1,
    seeds: Annotated[int, typer.Option("--seeds", help="Method seeds of every trial.")] = 1,
    seed: Annotated[int, typer.Option("--seed", help="First seed; none of them may be one the plan reports.")] = 9000,
    device: opt.Device = "cpu",
    dtype: opt.Dtype = "float32",
    threads: opt.Threads = 0,
    store: opt.Store = opt.DEFAULT_STORE,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Search settings with the same trials, steps and rows a step for every method; the plan's own rows and seeds stay unseen."""
    from expunge.facts.digest import canonical_json
    from expunge.pipeline.benchmark import write_table
    from expunge.pipeline.plan import read_plan
    from expunge.pipeline.search import Budget
    from expunge.pipeline.tune import OBJECTIVE, search_table
    from expunge.pipeline.tune import tune as run
    from expunge.store.atomic import write_atomic

    checked = read_plan(plan)
    budget = Budget(
        trials=trials,
        steps=steps,
        batch_size=batch_size,
        patience=patience,
        retrained=retrained,
        seeds=seeds,
        seed=seed,
    )
    found = run(
        checked,
        store,
        names=methods.split(",") if methods else None,
        budget=budget,
        base=plan.parent,
        placement=opt.placement(device, dtype, threads),
        progress=opt.bars(quiet),
    )
    if out is not None:
        write_atomic(out / "search.json", canonical_json(found))
        rows = found["rows"]
        notes = [
            f"Objective, lower is better: {OBJECTIVE}. Doing nothing: {found['do_nothing']:.3f}.",
            "",
            f"{rows['forget']} validation rows to forget and {rows['retain']} to retain, all of them the plan's retain rows "
            f"({rows['reported by the plan as retain rows']} are also reported as such); no model was trained or measured on its "
            "forget, holdout and test rows. "
            f"Seeds {found['seeds']}. Ended: {found['stopped']}.",
            "",
            "`use` in search.json has the settings to put into a plan, with the rows a step, passes and most steps that every trial had.",
        ]
        write_table(search_table(found), out / "table.md", f"Search of {plan.name} ({found['run']})", notes)
    if as_json:
        typer.echo(canonical_json(found).decode())
        return
    head, *body = search_table(found)
    from rich.console import Console
    from rich.table import Table

    table = Table(*head, box=None, pad_edge=False)
    for row in body:
        table.add_row(*row)
    Console(width=160).print(table)
    typer.echo(f"doing nothing: {found['do_nothing']:.3f}; ended: {found['stopped']}; run: {found['run']}")
