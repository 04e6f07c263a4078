"""A benchmark's protocol as a plan: every method asked for, several seeds, the same models and rows for all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from expunge.contract.about import About
from expunge.contract.registry import find
from expunge.contract.units import BenchmarkPlan
from expunge.facts.digest import read_json
from expunge.facts.errors import InputError
from expunge.facts.record import Record
from expunge.pipeline.columns import KINDS, out_of_order, value_of
from expunge.pipeline.over_models import KLOM, is_over_models, klom_of
from expunge.pipeline.plan import Plan, SearchedPlan, check_plan
from expunge.pipeline.river import DO_NOTHING, SECOND
from expunge.pipeline.searched import SEARCHED
from expunge.store.run import Run


def check_benchmark(protocol: BenchmarkPlan) -> None:
    """Check that every unit a protocol names is there: names are strings, and a typing error must not wait for a run."""
    find("source", protocol.source)
    for metric in protocol.metrics:
        find("metric", metric)
    for attack in protocol.attacks:
        find("attack", attack)
    for column in protocol.columns:
        name, _, part = column.partition(":")
        known = (name in protocol.metrics and part) or (name in protocol.attacks and part in KINDS)
        if not known and not is_over_models(column, protocol):
            raise InputError(
                f"the column {column!r} is not METRIC:SPLIT of one of the protocol's metrics, nor ATTACK:auc or ATTACK:success, "
                "nor klom:SPLIT (with the metric margin) or ain (with the attack relearn_time)"
            )


def benchmark_plan(
    name: str, protocol: BenchmarkPlan, methods: Sequence[str], *, seeds: Sequence[int], retrained: Sequence[int]
) -> Plan:
    """Return the plan that runs `methods`, each `name` or `name+locator`, under every seed.

    A protocol with KLoM among its columns has a target for each seed: one target's unlearned models are no distribution over trainings.
    """
    check_benchmark(protocol)
    settings, over_trainings = protocol.settings, any(one.startswith(f"{KLOM}:") for one in protocol.columns)
    listed = []
    for method in methods:
        base, _, locator = method.partition("+")
        listed.append(
            {
                "name": base,
                "seeds": list(seeds),
                "settings": dict(protocol.method_settings.get(method, {})),
                **({"locator": locator} if locator else {}),
            }
        )
    return check_plan(
        {
            "request": {"id": f"bench-{name}", "source": protocol.source, "settings": dict(settings["source"])},
            "model": {"architecture": settings["architecture"], "settings": dict(settings["model"])},
            "recipe": dict(settings["recipe"]),
            **({"base_recipe": dict(settings["base_recipe"])} if "base_recipe" in settings else {}),
            "method": listed,
            "verify": {
                "metrics": list(protocol.metrics),
                "attacks": list(protocol.attacks),
                **{name: settings[name] for name in ("max_new_tokens", "retain_rows") if name in settings},
            },
            "seeds": {"retrained": list(retrained), **({"target": "method"} if over_trainings else {})},
        },
        where=f"benchmark {name}",
    )


def notes(about: About, protocol: BenchmarkPlan, plan: Plan, records: Sequence[Record]) -> list[str]:
    """Return what stands above the table: the claim looked at, departures, settings that are not the defaults, sizes, seconds."""
    first = records[0]
    model = first.models[0]
    sizes = ", ".join(f"{split.name} {split.n}" for split in first.splits)
    changed = [
        f"{method.label} " + ", ".join(f"{name}={value}" for name, value in method.settings.items())
        for method in plan.method
        if method.settings
    ]
    timed = [record for record in records if "removal (s)" in record.cost]
    seconds = ", ".join(
        f"{label} {_seconds([record for record in timed if _label(record) == label])}"
        for label in dict.fromkeys(map(_label, timed))
    )
    return [
        about.claim,
        "",
        *(f"- {text}" for text in (*about.differs, *protocol.notes)),
        *([f"- Settings other than the methods' defaults: {'; '.join(changed)}."] if changed else []),
        *([f"- {_chosen(plan.request.searched, records)}"] if plan.request.searched else []),
        "",
        f"{model.name} {model.parameters / 1e6:.2f}M parameters; rows measured: {sizes}.",
        *([f"Mean seconds of a removal: {seconds}."] if seconds else []),
        *refusals(first, protocol.columns),
    ]


def refusals(record: Record, columns: Sequence[str]) -> list[str]:
    """Return lines that say which attacks' columns are refused, which metrics' have no number for the target, and why; or nothing."""
    refused = [reason for column in columns if (reason := out_of_order(record, column))]
    unread = [
        f"{column.replace(':', ' ')} ({one.score.unscored})"
        for column in columns
        for one in record.measurements
        if one.model == "target" and f"{one.metric}:{one.split}" == column and one.score.unscored
    ]
    found = [("Refused, since doing nothing reads no higher than a retrained model", refused), ("Unscored", unread)]
    return [f"{words}: {'; '.join(each)}." for words, each in found if each]


def _chosen(searched: SearchedPlan, records: Sequence[Record]) -> str:
    """Return how a searched request came about, and on whose target."""
    count = next(split.n for split in records[0].splits if split.name == "forget")
    told = ", ".join(f"{name}={value}" for name, value in searched.settings.items())
    where = " or ".join(sorted({str(record.request["searched_on"]) for record in records}))
    return f"Forget rows: {count} of {searched.among} training rows, chosen on {where} ({told}, seed={searched.seed})."


def _seconds(records: Sequence[Record]) -> str:
    """Return the mean of removals that did all of their work, and that of those which found some of it kept by an earlier one."""
    whole = [record.cost["removal (s)"] for record in records if "found_kept" not in record.method.notes]
    rest = [record.cost["removal (s)"] for record in records if "found_kept" in record.method.notes]
    words = [f"{mean(whole):.3g}"] if whole else []
    words += [f"{mean(rest):.3g} where work of an earlier one was kept"] if rest else []
    return " and ".join(words)


def _label(record: Record) -> str:
    """Return what a table calls a record, without its seed."""
    return str(record.request["label"]).removesuffix(f"-{record.method.seed}")


def hours(run: Run, records: Sequence[Record]) -> str:
    """Return what a run took, over all its calls: training its models, removals, and measuring and attacking."""
    seconds = {name: float(read_json(run.piece(name))) for name in run.finished() if name.startswith("seconds-")}
    removing = sum(value for name, value in seconds.items() if name.startswith("seconds-unlearned-"))
    searching = sum(value for name, value in seconds.items() if name.startswith(f"seconds-{SEARCHED}-"))
    judging = sum(record.cost["verification (s)"] for record in records)
    parts = {
        "training models": sum(seconds.values()) - removing - searching,
        **({"searching for forget rows": searching} if searching else {}),
        "removals": removing,
        "measuring and attacking": judging,
    }
    each = ", ".join(f"{name} {value / 3600:.2f}" for name, value in parts.items())
    return f"{sum(parts.values()) / 3600:.2f} hours in all: {each}."


def table(records: Sequence[Record], columns: Sequence[str]) -> list[list[str]]:
    """Return rows of text: untrained, target, retrained models, then methods with mean and range over seeds.

    An attack that cannot tell the target from retrained models is refused where it would judge a method (`refusals` says why).
    """
    first = records[0]
    refused = {column for column in columns if out_of_order(first, column)}
    rows = [["model", "seeds", *(column.replace(":", " ") for column in columns), "claim"]]
    for model in first.models:
        if model.role != "unlearned":
            rows.append([model.name, "-", *(_of_one(first, model.name, column) for column in columns), "-"])
    by_label: dict[str, list[Record]] = {}
    for record in records:
        by_label.setdefault(_label(record), []).append(record)
    for label, found in by_label.items():
        cells = [_of_seeds(found, column) for column in columns]
        if label not in (DO_NOTHING, SECOND):
            cells = ["refused" if column in refused else told for column, told in zip(columns, cells, strict=True)]
        claims = sorted({record.claim.headline for record in found if record.claim is not None})
        rows.append([label, str(len(found)), *cells, " | ".join(claims)])
    return rows


def _of_one(record: Record, model: str, column: str) -> str:
    return "-" if column.startswith(f"{KLOM}:") else cell([value_of(record, model, column)])


def _of_seeds(records: Sequence[Record], column: str) -> str:
    name, _, split = column.partition(":")
    if name != KLOM:
        return cell([value_of(record, "unlearned", column) for record in records])
    found = klom_of(records, split)
    return f"unscored ({found.unscored})" if found.value is None else f"{found.value:.3g}"


def cell(values: Sequence[float | None]) -> str:
    """Return the mean of what is scored and its range over seeds."""
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
