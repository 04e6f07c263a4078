"""`expunge forget`: a model directory and rows in, weights, a record and a certificate out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from expunge.app import options as opt
from expunge.app.show import check_require, finish, print_record


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("forget")(forget)


def forget(
    model: Annotated[Path, typer.Option("--model", "--target", help="Model directory with safetensors weights.")],
    forget: opt.Forget,
    out: Annotated[Path, typer.Option("--out", help="New directory for model/, record.json and certificate.json.")],
    method: Annotated[str, typer.Option("--method", help="A method; see expunge units --kind method.")],
    retain: opt.Retain = None,
    holdout: opt.Holdout = None,
    test: opt.Test = None,
    retrained: Annotated[list[Path] | None, typer.Option("--retrained", help="A retrained model; repeat it.")] = None,
    mapping: opt.Map = "",
    settings: opt.Set = None,
    scope: opt.Scope = "full",
    locator: opt.Locator = None,
    battery: opt.Battery = "quick",
    request: Annotated[str, typer.Option("--request", help="Name of the request in the ledger.")] = "",
    kind: Annotated[str, typer.Option("--kind", help="data, knowledge, concept or behaviour.")] = "data",
    seed: opt.Seed = 0,
    device: opt.Device = "cpu",
    dtype: opt.Dtype = "float32",
    template: opt.Template = "",
    threads: opt.Threads = 0,
    gradient_checkpointing: Annotated[
        bool, typer.Option("--gradient-checkpointing", help="Less memory, more time.")
    ] = False,
    store: opt.Store = opt.DEFAULT_STORE,
    key: opt.Key = None,
    require: opt.Require = None,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Remove rows from a model and certify the claim that a quick check supports."""
    check_require(require)
    values = opt.read_settings(settings)
    splits = opt.read_splits(forget, retain, holdout, test, mapping)
    from expunge.pipeline.processes import is_lead, together
    from expunge.pipeline.remove import Removal
    from expunge.pipeline.remove import forget as remove
    from expunge.pipeline.verify import Settings

    with together(device):
        removed = remove(
            model,
            splits,
            Removal(method, values, scope, locator, seed=seed),
            out,
            store=store,
            retrained=retrained or (),
            settings=Settings(level=battery, seed=seed),
            key=key,
            request=request,
            kind=kind,
            progress=opt.bars(quiet or not is_lead()),
            placement=opt.placement(device, dtype, threads, checkpointing=gradient_checkpointing, template=template),
        )
        if not is_lead():
            return
    print_record(removed.record, as_json=as_json, where=out, changed=removed.weights_changed)
    finish(removed.record, require)
