"""`expunge verify`: a target, an unlearned and optionally retrained models in, a record out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from expunge.app import options as opt
from expunge.app.show import check_require, finish, print_record


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("verify")(verify)


def verify(
    target: Annotated[Path, typer.Option("--target", "--model", help="The model before the removal.")],
    unlearned: Annotated[Path, typer.Option("--unlearned", help="The model after it.")],
    forget: opt.Forget,
    out: Annotated[Path | None, typer.Option("--out", help="File for the record (JSON).")] = None,
    retain: opt.Retain = None,
    holdout: opt.Holdout = None,
    test: opt.Test = None,
    retrained: Annotated[list[Path] | None, typer.Option("--retrained", help="A retrained model; repeat it.")] = None,
    control: Annotated[
        list[Path] | None, typer.Option("--control", help="A model never trained on the forget rows.")
    ] = None,
    mapping: opt.Map = "",
    battery: opt.Battery = "standard",
    attacks: Annotated[
        str | None, typer.Option("--attacks", help="Attacks by name, comma between, instead of a battery.")
    ] = None,
    max_new_tokens: Annotated[int, typer.Option("--max-new-tokens", help="Longest generated answer.")] = 64,
    seed: opt.Seed = 0,
    device: opt.Device = "cpu",
    dtype: opt.Dtype = "float32",
    template: opt.Template = "",
    threads: opt.Threads = 0,
    store: opt.Store = opt.DEFAULT_STORE,
    require: opt.Require = None,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Measure and attack an unlearned model beside its controls, and derive the claim."""
    from expunge.app.api import verify as run
    from expunge.pipeline.processes import is_lead, together

    check_require(require)
    with together(device):
        record = run(
            target=target,
            unlearned=unlearned,
            retrained=retrained or (),
            control=control or (),
            splits=opt.read_splits(forget, retain, holdout, test, mapping),
            battery=battery,
            attacks=opt.read_names(attacks),
            max_new_tokens=max_new_tokens,
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
    print_record(record, as_json=as_json, where=out)
    finish(record, require)
