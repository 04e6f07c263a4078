"""`expunge report RUN`: one self-contained page from the records of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from expunge.app import options as opt
from expunge.facts.errors import InputError


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report")(report)


def report(
    run: Annotated[str, typer.Argument(help="A run or request in the store, or a record file.")],
    out: Annotated[Path, typer.Option("--out", help="File for the page.")] = Path("report.html"),
    with_text: Annotated[
        Path | None, typer.Option("--with-text", help="Rows whose text to show beside their ids.")
    ] = None,
    mapping: opt.Map = "",
    title: Annotated[str, typer.Option("--title", help="Title of the page.")] = "",
    store: opt.Store = opt.DEFAULT_STORE,
) -> None:
    """Write the page; text of rows is shown only where --with-text gives it."""
    from expunge.certificate.predicate import read_certificate
    from expunge.facts.digest import read_json
    from expunge.facts.record import Record
    from expunge.report.page import write
    from expunge.store.ledger import show
    from expunge.store.store import Store

    certificates: dict[str, str] = {}
    if Path(run).is_file():
        try:
            records = [Record.model_validate(read_json(Path(run).read_bytes()))]
        except ValueError as error:
            raise InputError(f"{run} is not a record", do="give a record.json, or a run in the store") from error
    elif not (store / "index.sqlite").is_file():
        raise InputError(f"there is no record file {run} and no store at {store}", do="give --store DIR")
    else:
        with Store.open(store) as opened:
            found = show(opened, run)
        records = [Record.model_validate(read_json(data)) for row, data in found if row.kind == "record"]
        for row, data in found:
            if row.kind == "certificate":
                certificates[read_certificate(data).predicate.record_digest] = data.decode()
    if not records:
        raise InputError(f"{run} holds no record yet", do="run it to its end first")
    texts = None
    if with_text is not None:
        from expunge.sources.records import parse_map, read_rows

        rows = read_rows(with_text, parse_map(mapping), "rows")
        texts = {row.id: f"{row.get('prompt') or ''} {row.get('answer') or ''}".strip() for row in rows}
    write(out, records, title=title or f"Removal {run}", with_text=texts, certificates=certificates)
    typer.echo(f"written: {out}")
