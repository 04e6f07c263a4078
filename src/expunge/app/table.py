"""Records as a table in the terminal: anchors first, then methods, each with its claim."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the record's models take a tenth of a second to build, and `expunge --help` needs none
    from expunge.facts.record import Record, Test


def _worst(record: Record) -> Test | None:
    found = [test for test in record.tests if test.step == "resistant" and test.estimate is not None]
    return max(found, key=lambda test: test.estimate or 0.0, default=None)


def _of(record: Record, step: str) -> str:
    found = [test for test in record.tests if test.step == step and test.success is not None]
    return f"{found[0].success:.2f} / {found[0].control_success:.2f}" if found else "-"


def print_table(records: Sequence[Record]) -> None:
    """Print one row a record: direct questions and the worst attack beside the control, retained utility, the claim."""
    from rich.console import Console
    from rich.table import Table

    table = Table(
        "method",
        "seed",
        "direct / control",
        "utility / control",
        "worst attack (success - control)",
        "claim",
        box=None,
        pad_edge=False,
    )
    for record in records:
        worst, claim = _worst(record), record.claim
        attack = f"{worst.name} {worst.success:.2f} ({worst.estimate:+.2f})" if worst is not None else "-"
        label = str(record.request.get("label", record.method.name)).removesuffix(f"-{record.method.seed}")
        table.add_row(
            label,
            str(record.method.seed),
            _of(record, "behavioural"),
            _of(record, "utility"),
            attack,
            claim.headline if claim else "-",
        )
    Console(width=160).print(table)
