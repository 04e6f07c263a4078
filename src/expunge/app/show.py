"""Print a record for a person or for a program, and turn it into an exit code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from expunge.facts.errors import Contradicted, ExpungeError, InputError, nearest

if TYPE_CHECKING:  # building the record's models takes a tenth of a second, and `expunge --help` needs none
    from expunge.facts.claim import Rung
    from expunge.facts.record import Record


class RungNotReached(ExpungeError):
    """The rung that --require asked for was not reached."""

    exit_code = 1


def print_record(record: Record, *, as_json: bool, where: Path | None = None, changed: bool = True) -> None:
    """Print the claim, what was missing for the next rung, and the tests behind it."""
    claim = record.claim
    if as_json:
        typer.echo(record.to_json().decode())
        return
    if claim is None:
        return
    typer.echo(f"claim: {claim.headline}")
    typer.echo(f"  provenance {claim.provenance}, rung {claim.rung}, control {claim.control}")
    if claim.not_found:
        typer.echo(
            "  target and control answer alike on this battery: the target never knew these rows, as far as it shows"
        )
    for reason in claim.missing:
        typer.echo(f"  missing: {reason}")
    for refusal in record.refusals:
        typer.echo(f"  note: {refusal}")
    if where is not None:
        typer.echo(f"written: {where}" + ("" if changed else " (no weights: the target was left alone)"))


def check_require(require: str | None) -> Rung | None:
    """Return the rung of --require; one that is none is refused, and before the work rather than after it."""
    from expunge.facts.claim import RUNGS

    if require is None or require in RUNGS:
        return require
    raise InputError(
        f"there is no rung {require!r}; the nearest is {nearest(require, RUNGS)!r}", do=f"one of: {', '.join(RUNGS)}"
    )


def finish(record: Record, require: str | None) -> None:
    """Raise where the claim is contradicted (exit 3) or a required rung was not reached (exit 1)."""
    from expunge.facts.claim import at_least

    claim = record.claim
    if claim is not None and claim.contradicted:
        raise Contradicted("the battery contradicts the method's provenance", causes=claim.missing)
    rung = check_require(require)
    if rung is not None and (claim is None or not at_least(claim.rung, rung)):
        raise RungNotReached(
            f"the rung {require} was not reached; the evidence shows {claim.rung if claim else 'nothing'}"
        )
