"""MUSE's last two ways: python bench/muse.py BOOKS --out FOLDER. Forget sets of growing size, and requests one after another.

Scaling: of four parts of a book that the target was trained on, 1, 2 and 4 are to be forgotten. Sustainability: parts 1, 2, 3 are
requested one after another, each from the model that the request before left; `forget/earlier` are the parts forgotten before.
A run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from expunge.benchmarks.muse import MuseBenchmark
from expunge.contract.units import BenchmarkPlan
from expunge.facts.record import Record
from expunge.pipeline.benchmark import benchmark_plan
from expunge.pipeline.columns import value_of
from expunge.pipeline.plan import Plan, check_plan
from expunge.pipeline.progress import Bars
from expunge.pipeline.run import run_plan
from expunge.store.store import Store

PARTS = 4
RETRAINED = (101, 102)
COLUMNS = (
    "muse_verbmem:forget",
    "muse_knowmem:forget/knowledge",
    "muse_privleak:forget",
    "muse_knowmem:test",
    "muse_verbmem:retain",
    "muse_verbmem:forget/earlier",
)


def protocol(data: Path, *, size: int = 1, first: int = 1) -> BenchmarkPlan:
    """Return the protocol of one forget size or request, with the attack that the presence of knowledge is read from."""
    found = MuseBenchmark(parts=PARTS, forget_size=size, first=first).run(data)
    return replace(found, attacks=("direct_question",), columns=())


def line(name: str, values: Iterable[float | None]) -> str:
    """Return a row of a table."""
    return f"| {name} | " + " | ".join("-" if value is None else f"{value:.3g}" for value in values) + " |"


def model_lines(label: str, records: Sequence[Record], methods: Sequence[str]) -> list[str]:
    """Return the rows of target, retrained models (their mean) and methods."""
    nothing = records[0]
    retrained = [model.name for model in nothing.models if model.role == "retrained"]

    def mean(column: str) -> float | None:
        values = [value for name in retrained if (value := value_of(nothing, name, column)) is not None]
        return sum(values) / len(values) if values else None

    found = [
        line(f"{label} target", (value_of(nothing, "target", column) for column in COLUMNS)),
        line(f"{label} retrained, mean", (mean(column) for column in COLUMNS)),
    ]
    for record in records:
        if record.method.name in methods:
            found.append(line(f"{label} {record.method.name}", (value_of(record, "unlearned", c) for c in COLUMNS)))
    return found


def run(plan: Plan, store: Store, name: str, left: Path | None = None) -> list[Record]:
    """Run a plan as a request of its own, from the model that the request before left where there is one."""
    raw = plan.plain()
    raw["request"]["id"] = name
    if left is not None:
        raw["model"] = {"directory": str(left)}
    return run_plan(check_plan(raw), store, run_id=name, base=Path.cwd(), progress=Bars(quiet=True))


def scaling(data: Path, store: Store, methods: Sequence[str], sizes: Sequence[int]) -> list[str]:
    """Return the rows of every forget size."""
    found = []
    for size in sizes:
        plan = benchmark_plan("muse", protocol(data, size=size), methods, seeds=(0,), retrained=RETRAINED)
        found += model_lines(f"{size} of {PARTS}", run(plan, store, f"scaling-{size}"), methods)
        print("\n".join(found[-2 - len(methods) :]), flush=True)
    return found


def sustainability(data: Path, store: Store, method: str, requests: int, folder: Path) -> list[str]:
    """Return the rows of requests one after another, each from what the one before left."""
    found, left = [], None
    for number in range(1, requests + 1):
        plan = benchmark_plan("muse", protocol(data, first=number), [method], seeds=(0,), retrained=RETRAINED)
        name = f"request-{method}-{number}"
        found += model_lines(f"request {number}", run(plan, store, name, left), [method])
        print("\n".join(found[-3:]), flush=True)
        left = folder.resolve() / "store" / "runs" / name / "pieces" / f"unlearned-{method}-0"
    return found


def main() -> None:
    """Run both and print their tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--methods", default="grad_diff,npo")
    parser.add_argument("--sizes", default="1,2,4")
    parser.add_argument("--requests", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    methods, sizes = given.methods.split(","), [int(size) for size in given.sizes.split(",") if size]
    head = [line("model", ()).rstrip("| ") + " | " + " | ".join(COLUMNS) + " |", "|---" * (1 + len(COLUMNS)) + "|"]
    with Store.open(given.out / "store") as store:
        print("\n".join(head), flush=True)
        scaling(given.data, store, methods, sizes)
        for method in methods:
            print(f"\n{method}, one request after another\n")
            print("\n".join(head), flush=True)
            sustainability(given.data, store, method, given.requests, given.out)


if __name__ == "__main__":
    main()
