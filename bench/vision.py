"""Every method on seven requests: python bench/vision.py --data ../shared/data --out vision-run. Resumes; --page writes a page.

A request's methods get the same search (trials, optimiser steps, rows a step) on a second request made of its retain rows, then run under
every seed beside ten retrained models. Tables stand between do-nothing and a second retrained model; seconds are those of a removal over
those of training again (medians; a removal that found work of an earlier one kept does not count where another did all of its own).
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch

from expunge.contract.registry import find, units
from expunge.contract.units import BenchmarkPlan
from expunge.facts.digest import canonical_json, read_json
from expunge.facts.errors import ContractBroken, InputError
from expunge.facts.record import Record
from expunge.pipeline.benchmark import benchmark_plan, refusals, table
from expunge.pipeline.columns import value_of
from expunge.pipeline.loading import Placement
from expunge.pipeline.plan import Plan
from expunge.pipeline.progress import Bars
from expunge.pipeline.ready import check_plan_ready
from expunge.pipeline.river import River
from expunge.pipeline.search import Budget
from expunge.pipeline.tune import tune
from expunge.pipeline.tuned import searchable
from expunge.store.store import Store
from expunge.verdict.reach import reach
from pages import read_tables, write_tables

BUDGET = Budget(trials=6, steps=150, batch_size=32, patience=3)


@dataclass(frozen=True)
class Case:
    """One request: a benchmark, its data under the data folder, and its settings."""

    benchmark: str
    data: str
    settings: Mapping[str, Any]
    words: str


MLP = {"architecture": "mlp", "width": 128, "depth": 1, "lr": 2e-3}
"""A small network for the three requests on MNIST, where the protocol has a CNN: its ten retrained models take seconds."""
CASES: Mapping[str, Case] = {
    "mnist_class": Case(
        "mnist",
        "mnist/mnist.npz",
        {"forget": "class=8", "train_rows": 3000, "epochs": 15, **MLP},
        "MNIST, a class (3,000 training images)",
    ),
    "mnist_random": Case(
        "mnist",
        "mnist/mnist.npz",
        {"forget": "random=0.1", "train_rows": 3000, **MLP},
        "MNIST, a random tenth of 3,000 images of which a fifth bear a wrong label",
    ),
    "mnist_sample": Case(
        "mnist",
        "mnist/mnist.npz",
        {"forget": "sample=50", "train_rows": 3000, **MLP},
        "MNIST, fifty images by name, of 3,000 of which a fifth bear a wrong label",
    ),
    "fsdd_speaker": Case("fsdd", "fsdd/fsdd.npz", {}, "Spoken digits, a speaker"),
    "omniglot_alphabet": Case("omniglot", "omniglot", {}, "Omniglot, an alphabet of 22 characters"),
    "california_rows": Case("california", "california_housing", {}, "California housing (regression), rows"),
    "adult_people": Case(
        "uci_adult", "uci_adult", {}, "UCI Adult (a table), people by id, a fifth of the labels wrong"
    ),
}
NOT_HERE = ("retrain", "needle")
"""`retrain` is the yardstick and stands in every table; `needle` edits named vectors of a language model."""


def methods_for(modality: str) -> list[str]:
    """Return every method that serves a modality, and relabelling under two masks (SalUn, and magnitude as its control)."""
    served = [name for name, unit in units("method").items() if modality in unit.about.modalities]
    return [name for name in served if name not in NOT_HERE] + ["random_label+saliency", "random_label+magnitude"]


def protocol_of(case: Case, data: Path) -> BenchmarkPlan:
    """Return the protocol of a case over its data."""
    found: BenchmarkPlan = find("benchmark", case.benchmark).create(dict(case.settings)).run(data / case.data)
    return found


def plan_of(
    name: str, protocol: BenchmarkPlan, methods: Sequence[str], given: argparse.Namespace, tuned: Mapping[str, Any]
) -> Plan:
    """Return the plan of some methods with the settings that the search chose, in place of those that the protocol has."""
    own = {"method_settings": dict(tuned)}
    seeds, retrained = range(given.seeds), range(101, 101 + given.retrained)
    return benchmark_plan(
        f"vision-{name}", protocol.__class__(**{**protocol.__dict__, **own}), methods, seeds=seeds, retrained=retrained
    )


def searched(name: str, protocol: BenchmarkPlan, methods: Sequence[str], given: argparse.Namespace) -> dict[str, Any]:
    """Return the chosen settings of each method, searching those that were not searched before; {} where nothing can be."""
    kept = given.out / name / "searched.json"
    found: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
    left = [method for method in methods if method not in found]
    able = []
    for method in left:
        plan = plan_of(name, protocol, [method], given, {})
        try:
            check_plan_ready(plan, Path.cwd())
        except InputError:
            found[method] = {"settings": {}, "why": "refused: the run says why"}
            continue
        if searchable(plan.method[0]):
            able.append(method)
        else:
            found[method] = {"settings": {}, "why": "nothing to search"}
    if able:
        # the stop rule is of all methods together: of some that are searched later it would be a smaller search than the others had
        budget = replace(BUDGET, patience=BUDGET.trials) if kept.exists() or given.methods else BUDGET
        plan = plan_of(name, protocol, able, given, {})
        result = tune(
            plan, given.out / name / "store", names=able, budget=budget, base=Path.cwd(), progress=Bars(quiet=True)
        )
        for label, search in result["methods"].items():
            best = search["trials"][search["best"]]
            if search["use"] is None:
                found[label] = {"settings": {}, "why": f"no trial could be run: {best['failed']}"}
                continue
            found[label] = {"settings": search["use"], "trials": len(search["trials"]),
                            "objective": best["objective"], "as_it_is": search["trials"][0]["objective"],
                            "do_nothing": result["do_nothing"]}  # fmt: skip
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(canonical_json(found))
    return found


def run_case(name: str, case: Case, given: argparse.Namespace) -> None:
    """Search, remove, measure and attack; every finished piece is kept."""
    protocol = protocol_of(case, given.data)
    modality = "tabular" if case.benchmark in ("california", "uci_adult") else "vision"
    methods = ["retrain", *(given.methods.split(",") if given.methods else methods_for(modality))]
    tuned = searched(name, protocol, [method for method in methods if method != "retrain"], given)
    for method in methods:
        settings = {method: tuned[method]["settings"]} if method in tuned else {}
        if method == "certified_removal":
            settings = {method: {"noise_key": noise_key(given.out)}}
        plan = plan_of(name, protocol, [method], given, settings)
        try:
            for record in records_of(name, plan, given):
                label = str(record.request["label"])
                (given.out / name / "records").mkdir(parents=True, exist_ok=True)
                (given.out / name / "records" / f"{label}.json").write_bytes(record.to_json())
            print(name, method, "done", flush=True)
        except (InputError, ContractBroken) as refused:
            (given.out / name / f"refused-{method}.txt").write_text(str(refused))
            print(name, method, "refused:", refused, flush=True)


def noise_key(out: Path) -> str:
    """Return the file of secret bytes that certified removal draws its noise from, made once a run folder."""
    path = out.resolve() / "noise-key"
    if not path.exists():
        path.write_bytes(os.urandom(32))
    return str(path)


def records_of(name: str, plan: Plan, given: argparse.Namespace) -> Iterator[Record]:
    """Yield the anchors' records beside `retrain`, else one record a seed; models are made once a store."""
    rows = check_plan_ready(plan, Path.cwd())
    with Store.open(given.out / name / "store") as store:
        commitment = store.open_request(plan.request.id, rows.rows["forget"], kind=plan.request.kind)
        run_id = f"vision-{name}-{plan.digest()[:8]}"
        with store.run(run_id, plan.request.id, plan=canonical_json(plan.plain())) as run:
            river = River(
                plan, store, run, rows, Path.cwd(), Placement(), Bars(quiet=True), {"commitment": commitment.combined}
            )
            if plan.method[0].name == "retrain":
                yield from river.anchors()
            for method in plan.method:
                for seed in method.seeds:
                    yield river.verified(method, seed)


def page(given: argparse.Namespace, kept: str) -> str:
    """Return the tables of every case: from its records, or where the run's folder has none, as they are among those `kept`.

    With --methods the rows of these alone are put into the tables that are kept, whose anchors stay.
    """
    sections = dict(section.split("\n", 1) for section in kept.strip().removeprefix("## ").split("\n## ") if section)
    parts = []
    for name, case in CASES.items():
        there = sections.get(case.words)
        if not (given.out / name / "records").is_dir():
            parts += [f"## {case.words}", there.rstrip(), ""] if there is not None else []
        elif there is not None and given.methods:
            rows = {row[0]: row for row in lines_of(name, case, given)}
            parts += [f"## {case.words}", with_rows(there, rows, given.methods.split(",")).rstrip(), ""]
        else:
            parts += section_of(name, case, given)
    return "\n".join(parts)


def records_kept(name: str, given: argparse.Namespace) -> list[Record]:
    """Return a case's records: the anchors, retraining, then the methods by name."""
    return [judged(path) for path in sorted((given.out / name / "records").glob("*.json"), key=_place)]


def lines_of(name: str, case: Case, given: argparse.Namespace) -> list[list[str]]:
    """Return the cells of a case's table with its heads, a removal's time beside training again, and the retrained models as one row."""
    columns, records = protocol_of(case, given.data).columns, records_kept(name, given)
    head, *body = table(records, columns)
    again = median(seconds_of(records, "retrain"))
    lines = [
        [*head, "time"],
        *([*row, _ratio(records, row[0], again)] for row in body if not row[0].startswith("retrained-")),
    ]
    at = next(i for i, row in enumerate(lines) if row[0] == "target")
    lines.insert(at + 1, ["retrained (all)", "-", *body_of_band(records[0], columns), "-", "-"])
    return lines


def section_of(name: str, case: Case, given: argparse.Namespace) -> list[str]:
    """Return a case's section: sizes, what its anchors refuse, the table, and the methods that refused."""
    records = records_kept(name, given)
    again = median(seconds_of(records, "retrain"))
    refused = [
        f"- {path.stem.removeprefix('refused-')}: {path.read_text().strip()}"
        for path in sorted((given.out / name).glob("refused-*.txt"))
    ]
    sizes = ", ".join(f"{split.name} {split.n}" for split in records[0].splits)
    parts = [f"## {case.words}", "", f"Rows measured: {sizes}. Training again: {again:.2g} s.", ""]
    parts += [line for found in refusals(records[0], protocol_of(case, given.data).columns) for line in (found, "")]
    head, *body = lines_of(name, case, given)
    parts += [_line(head), "|" + "---|" * len(head), *map(_line, body)]
    return [*parts, "", *(["Refused:", "", *refused, ""] if refused else [])]


def with_rows(section: str, rows: Mapping[str, Sequence[str]], methods: Sequence[str]) -> str:
    """Return a section with the rows of some methods in the place of those that it has, in its own columns; `rows` has its heads too."""
    lines = section.splitlines()
    head = next(line for line in lines if line.startswith("| model |")).strip("| ").split(" | ")
    for method in methods:
        if method not in rows:
            continue
        cells = dict(zip(rows["model"], rows[method], strict=True))
        own = _line([cells.get(column, "-") for column in head])
        places = [i for i, line in enumerate(lines) if line.startswith(f"| {method} | ")]
        last = max(i for i, line in enumerate(lines) if line.startswith("| "))
        lines[slice(*(places[0], places[0] + 1) if places else (last + 1, last + 1))] = [own]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def judged(path: Path) -> Record:
    """Return a kept record with its claim made again from its rows: pieces of one run may be older than the verdict's rules."""
    record = Record.model_validate(read_json(path.read_bytes()))
    return record.model_copy(update={"claim": reach(record)})


def _place(path: Path) -> tuple[int, str]:
    order = ("do_nothing", "second_retrained", "retrain-")
    return next((i for i, start in enumerate(order) if path.stem.startswith(start)), len(order)), path.stem


def seconds_of(records: Sequence[Record], label: str, *, kept: bool = False) -> list[float]:
    """Return the seconds of every removal of a method that found no work of an earlier one kept, or of those that did."""
    return [
        r.cost["removal (s)"]
        for r in records
        if str(r.request["label"]).rpartition("-")[0] == label
        and "removal (s)" in r.cost
        and ("found_kept" in r.method.notes) == kept
    ]


def _ratio(records: Sequence[Record], label: str, again: float) -> str:
    whole, rest = (seconds_of(records, label, kept=kept) for kept in (False, True))
    if whole:
        return f"{median(whole) / again:.2g}"
    return f"{median(rest) / again:.2g} (kept)" if rest else "-"


def body_of_band(record: Record, columns: Sequence[str]) -> list[str]:
    """Return, a column, the mean of the retrained models and their range."""
    names = [model.name for model in record.models if model.role == "retrained"]
    cells = []
    for column in columns:
        found = [value for value in (value_of(record, name, column) for name in names) if value is not None]
        cells.append(f"{mean(found):.3g} [{min(found):.3g}, {max(found):.3g}]" if found else "unscored")
    return cells


def main() -> None:
    """Run the cases asked for, or write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        help="folder that holds mnist, fsdd, omniglot, california_housing and uci_adult",
    )
    parser.add_argument("--out", type=Path, default=Path("vision-run"))
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--methods", default="")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--retrained", type=int, default=10)
    parser.add_argument("--page", type=Path, help="write the tables into this page, under its mark, and run nothing")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.page is not None:
        write_tables(given.page, "vision.py", page(given, read_tables(given.page, "vision.py")))
        return
    for name in given.cases.split(","):
        run_case(name, CASES[name], given)


if __name__ == "__main__":
    main()
