"""A benchmark run by the pipeline for a claim: its own rows, network, recipe and settings, measured and not attacked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from expunge.contract.units import BenchmarkPlan
from expunge.facts.record import Record
from expunge.pipeline.benchmark import benchmark_plan
from expunge.pipeline.columns import value_of
from expunge.pipeline.progress import Bars
from expunge.pipeline.run import run_plan
from expunge.store.store import Store


@dataclass(frozen=True)
class Ran:
    """The records of one draw: `of` reads a column of a model's or of a method's."""

    records: dict[str, Record]

    def of(self, name: str, column: str) -> float:
        """The value of the target, of the retrained models (their mean), or after a method (the mean of its seeds)."""
        first = next(iter(self.records.values()))
        if name == "target":
            found = [value_of(first, name, column)]
        elif name == "retrained":
            names = [model.name for model in first.models if model.role == "retrained"]
            found = [value_of(first, one, column) for one in names]
        else:
            mine = [one for label, one in self.records.items() if label.rpartition("-")[0] == name]
            found = [value_of(one, "unlearned", column) for one in mine]
        assert found
        assert None not in found
        return float(np.mean(np.array(found, float)))


def ran(protocol: BenchmarkPlan, folder: Path, methods: Sequence[str], *, seed: int) -> Ran:
    """Run methods under one seed, which is the target's as well, beside ten retrained models: no two draws share weights."""
    columns = tuple(column for column in protocol.columns if column.partition(":")[0] in protocol.metrics)
    retrained = [seed * 1000 + 101 + i for i in range(10)]
    own = replace(protocol, attacks=(), columns=columns)
    plan = benchmark_plan("claim", own, methods, seeds=(seed,), retrained=retrained)
    plan = plan.model_copy(update={"seeds": plan.seeds.model_copy(update={"target": seed})})
    with Store.open(folder / f"store-{seed}") as store:
        records = run_plan(plan, store, run_id="claim", base=folder, progress=Bars(quiet=True))
    return Ran({str(record.request["label"]): record for record in records})
