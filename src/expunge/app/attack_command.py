"""`expunge attack`: run attacks on an unlearned model and its controls, and print what came out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from expunge.app import options as opt


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("attack")(attack)


def attack(
    unlearned: Annotated[Path, typer.Option("--unlearned", "--model", help="The model to attack.")],
    forget: opt.Forget,
    target: Annotated[Path | None, typer.Option("--target", help="The model before the removal.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="File for the record (JSON).")] = None,
    retain: opt.Retain = None,
    holdout: opt.Holdout = None,
    retrained: Annotated[list[Path] | None, typer.Option("--retrained", help="A retrained model; repeat it.")] = None,
    mapping: opt.Map = "",
    battery: opt.Battery = "standard",
    attacks: Annotated[str | None, typer.Option("--attacks", help="Attacks by name, comma between.")] = None,
    seed: opt.Seed = 0,
    device: opt.Device = "cpu",
    dtype: opt.Dtype = "float32",
    template: opt.Template = "",
    threads: opt.Threads = 0,
    store: opt.Store = opt.DEFAULT_STORE,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Attack a model beside its controls and print success, control and difference of each attack."""
    from expunge.app.api import verify
    from expunge.pipeline.processes import is_lead, together

    with together(device):
        record = verify(
            target=target or unlearned,
            unlearned=unlearned,
            retrained=retrained or (),
            splits=opt.read_splits(forget, retain, holdout, None, mapping),
            battery=battery,
            attacks=opt.read_names(attacks),
            seed=seed,
            placement=opt.placement(device, dtype, threads, template=template),
            store=store,
            progress=opt.bars(quiet or not is_lead()),
        )
        if not is_lead():
            return
    if out is not None:
        from expunge.store.atomic import write_atomic

        write_atomic(out, record.to_json())
    if as_json:
        typer.echo(record.to_json().decode())
        return
    typer.echo(f"{'attack':32}{'success':>9}{'control':>9}{'difference':>12}{'upper':>8}{'margin':>8}  result")
    for test in record.tests:
        if test.step not in ("behavioural", "resistant") or test.kind != "non_inferiority":
            continue
        if test.unscored or test.estimate is None or test.high is None or test.margin is None:
            typer.echo(f"{test.name:32}unscored: {test.unscored}")
            continue
        row = f"{test.name:32}{test.success:9.3f}{test.control_success:9.3f}{test.estimate:12.3f}{test.high:8.3f}{test.margin:8.3f}"
        typer.echo(f"{row}  {'passed' if test.passed else 'not passed'}")
