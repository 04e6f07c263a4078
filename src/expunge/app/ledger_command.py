"""`expunge ledger list|show|verify|drop-salt|export` and `expunge purge`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from expunge.app.options import DEFAULT_STORE, Json, Store
from expunge.facts.errors import InputError

page = typer.Typer(help="The hash-chained evidence of a store; works without torch.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(page, name="ledger")
    app.command("purge")(purge)


def _there(store: Path) -> Path:
    if not (store / "index.sqlite").is_file():
        raise InputError(f"there is no store at {store}", do="give --store DIR, or set EXPUNGE_STORE")
    return store


@page.command("list")
def listing(store: Store = DEFAULT_STORE, as_json: Json = False) -> None:
    """List every request with its runs."""
    from expunge.store.ledger import list_requests
    from expunge.store.store import Store as Opened

    with Opened.open(_there(store)) as opened:
        found = list_requests(opened)
    if as_json:
        typer.echo(json.dumps([asdict(line) for line in found], indent=1))
        return
    for line in found:
        salt = "salt kept" if line.salt_kept else "salt dropped"
        typer.echo(
            f"{line.created}  {line.id:32} {line.kind:10} {line.n:6} rows  {salt}  runs: {', '.join(line.runs) or '-'}"
        )


@page.command("show")
def show(
    name: Annotated[str, typer.Argument(help="A request or a run.")],
    store: Store = DEFAULT_STORE,
    as_json: Json = False,
) -> None:
    """Print the evidence rows of a request or a run."""
    from expunge.store.ledger import show as rows
    from expunge.store.store import Store as Opened

    with Opened.open(_there(store)) as opened:
        found = rows(opened, name)
    for row, data in found:
        if as_json:
            typer.echo(json.dumps(asdict(row)))
        else:
            typer.echo(
                f"{row.number:5} {row.created} {row.kind:14} {row.run or '-':24} {row.hash[:16]} {len(data)} bytes"
            )


@page.command("verify")
def verify(
    store: Store = DEFAULT_STORE,
    head: Annotated[str, typer.Option("--head", help="The newest hash a certificate names.")] = "",
) -> None:
    """Check the whole hash chain; names the first broken row."""
    from expunge.store.store import Store as Opened

    with Opened.open(_there(store)) as opened:
        typer.echo(f"{opened.verify_chain(head=head)} evidence rows hold; newest {opened.head() or '-'}")


@page.command("drop-salt")
def drop_salt(request: Annotated[str, typer.Argument(help="A request.")], store: Store = DEFAULT_STORE) -> None:
    """Drop a request's salt: its commitments say nothing any more, the chain still holds."""
    from expunge.store.store import Store as Opened

    with Opened.open(_there(store)) as opened:
        typer.echo("salt dropped" if opened.drop_salt(request) else "the salt was dropped before")


@page.command("export")
def export(store: Store = DEFAULT_STORE) -> None:
    """Print the whole ledger as JSON lines."""
    from expunge.store.ledger import export as lines
    from expunge.store.store import Store as Opened

    with Opened.open(_there(store)) as opened:
        typer.echo(lines(opened).decode(), nl=False)


def purge(
    store: Store = DEFAULT_STORE,
    request: Annotated[str | None, typer.Option("--request", help="Only what this request left in the cache.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="The whole cache.")] = False,
) -> None:
    """Empty the cache (generations, scores, models), which may hold forget text; evidence stays."""
    from expunge.store.store import Store as Opened

    with Opened.open(_there(store)) as opened:
        typer.echo(f"{opened.purge(request=request, all=everything)} bytes freed")
