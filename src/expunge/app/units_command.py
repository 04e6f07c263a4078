"""`expunge units`: every unit found, read from its source without importing it."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from expunge.app.options import Json
from expunge.contract.about import KINDS, MODALITIES
from expunge.contract.registry import Listing, find, units
from expunge.facts.errors import InputError, nearest

page = typer.Typer(help="Every unit found, and one unit's page.", invoke_without_command=True)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.add_typer(page, name="units")


def plain(unit: Listing) -> dict[str, Any]:
    """Return a unit's facts as plain values."""
    about = unit.about
    return {
        "kind": unit.kind, "name": unit.name, "class": unit.class_name, "summary": unit.summary,
        "modalities": list(about.modalities), "needs": list(about.needs), "takes": list(about.takes),
        "claim": about.claim, "paper": about.paper,
        "link": about.link, "year": about.year, "paper_id": about.paper_id, "scope": list(about.scope),
        "stochastic": about.stochastic, "provenance": about.provenance, "differs": list(about.differs), "cost": about.cost,
        "settings": [{"name": knob.name, "type": knob.annotation, "default": knob.default, "doc": knob.doc} for knob in unit.knobs],
    }  # fmt: skip


@page.callback()
def listing(
    context: typer.Context,
    kind: Annotated[
        str | None, typer.Option("--kind", help="source, locator, method, guard, metric, attack, benchmark.")
    ] = None,
    serving: Annotated[str | None, typer.Option("--for", help="Only units that serve this modality.")] = None,
    as_json: Json = False,
) -> None:
    """List every unit with kind, modalities, needs, claim and source."""
    if context.invoked_subcommand:
        return
    if serving is not None and serving not in MODALITIES:
        raise InputError(
            f"there is no modality {serving!r}; the nearest is {nearest(serving, MODALITIES)!r}",
            do=f"use one of: {', '.join(MODALITIES)}",
        )
    kinds = (kind,) if kind else KINDS
    found = [u for k in kinds for u in units(k).values() if serving is None or serving in u.about.modalities]
    if as_json:
        typer.echo(json.dumps([plain(unit) for unit in found], indent=1))
        return
    lines = [_cells(unit) for unit in found]
    if not sys.stdout.isatty():
        typer.echo(
            "\n".join("\t".join(line) for line in lines)
        )  # a line a unit, for grep and cut; laying out a table takes longer
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("kind", "name", "modalities", "needs", "what it does", "source", box=None, pad_edge=False)
    for line in lines:
        table.add_row(*line)
    Console().print(table)


def _cells(unit: Listing) -> tuple[str, ...]:
    about = unit.about
    source = f"{about.paper_id + ' ' if about.paper_id else ''}{about.paper} ({about.year})"
    return unit.kind, unit.name, " ".join(about.modalities), " ".join(about.needs), unit.summary, source


@page.command("show")
def show(name: Annotated[str, typer.Argument(help="A unit's name, or kind.name.")], as_json: Json = False) -> None:
    """Print one unit's page."""
    kind, _, short = name.rpartition(".")
    found = [find(kind, short)] if kind else [u for k in KINDS for u in units(k).values() if u.name == name]
    if not found:
        names = tuple(sorted({n for k in KINDS for n in units(k)}))
        raise InputError(f"there is no unit {name!r}; the nearest is {nearest(name, names)!r}", do="expunge units")
    if as_json:
        typer.echo(json.dumps([plain(unit) for unit in found], indent=1))
        return
    from expunge.app.pages import unit_page

    for unit in found:
        typer.echo(unit_page(unit))
