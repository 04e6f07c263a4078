"""A benchmark's protocol as a plan: every method asked for, several seeds, the same models and rows for all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from expunge.contract.registry import find
from expunge.contract.units import BenchmarkPlan
from expunge.facts.errors import InputError
from expunge.facts.record import Record
from expunge.pipeline.plan import Plan, check_plan


def check_benchmark(protocol: BenchmarkPlan) -> None:
    """Check that every unit a protocol names is there: names are strings, and a typing error must not wait for a run."""
    find("source", protocol.source)
    for metric in protocol.metrics:
        find("metric", metric)
    for attack in protocol.attacks:
        find("attack", attack)
    for column in protocol.columns:
        metric, _, split = column.partition(":")
        if metric not in protocol.metrics or not split:
            raise InputError(f"the column {column!r} is not METRIC:SPLIT of one of the protocol's metrics")


def benchmark_plan(
    name: str, protocol: BenchmarkPlan, methods: Sequence[str], *, seeds: Sequence[int], retrained: Sequence[int]
) -> Plan:
    """Return the plan that runs `methods`, each `name` or `name+locator`, under every seed."""
    check_benchmark(protocol)
    settings = protocol.settings
    listed = []
    for method in methods:
        base, _, locator = method.partition("+")
        listed.append({"name": base, "seeds": list(seeds), **({"locator": locator} if locator else {})})
    return check_plan(
        {
            "request": {"id": f"bench-{name}", "source": protocol.source, "settings": dict(settings["source"])},
            "model": {"architecture": settings["architecture"], "settings": dict(settings["model"])},
            "recipe": dict(settings["recipe"]),
            "method": listed,
            "verify": {
                "metrics": list(protocol.metrics),
                "attacks": list(protocol.attacks),
                "max_new_tokens": settings.get("max_new_tokens", 64),
            },
            "seeds": {"retrained": list(retrained)},
        },
        where=f"benchmark {name}",
    )


def value_of(record: Record, model: str, column: str) -> float | None:
    """Return one table cell, METRIC:SPLIT of one model; None where it is unscored or was not measured."""
    metric, _, split = column.partition(":")
    for found in record.measurements:
        if (found.metric, found.model, found.split) == (metric, model, split):
            return found.score.value
    return None


def table(records: Sequence[Record], columns: Sequence[str]) -> list[list[str]]:
    """Return rows of text: untrained, target, retrained models, then methods with mean and range over seeds."""
    first = records[0]
    rows = [["model", "seeds", *(column.replace(":", " ") for column in columns), "claim"]]
    for model in first.models:
        if model.role != "unlearned":
            cells = [_cell([value_of(first, model.name, column)]) for column in columns]
            rows.append([model.name, "-", *cells, "-"])
    by_label: dict[str, list[Record]] = {}
    for record in records:
        label = str(record.request["label"]).removesuffix(f"-{record.method.seed}")
        by_label.setdefault(label, []).append(record)
    for label, found in by_label.items():
        cells = [_cell([value_of(record, "unlearned", column) for record in found]) for column in columns]
        claims = sorted({record.claim.headline for record in found if record.claim is not None})
        rows.append([label, str(len(found)), *cells, " | ".join(claims)])
    return rows


def _cell(values: Sequence[float | None]) -> str:
    scored = [value for value in values if value is not None]
    if not scored:
        return "unscored"
    if len(scored) == 1:
        return f"{scored[0]:.3g}"
    return f"{mean(scored):.3g} [{min(scored):.3g}, {max(scored):.3g}]" + (
        "" if len(scored) == len(values) else f" of {len(scored)}"
    )


def write_table(rows: Sequence[Sequence[str]], path: Path, title: str, notes: Sequence[str]) -> None:
    """Write the table as Markdown."""
    head, *body = rows
    lines = [f"# {title}", "", *notes, "", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in body]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
