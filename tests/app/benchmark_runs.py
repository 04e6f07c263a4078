"""A benchmark run by the pipeline for a claim: its own rows, network, recipe and settings, measured and not attacked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from expunge.contract.units import BenchmarkPlan
from expunge.facts.record import Record
from expunge.pipeline.benchmark import benchmark_plan, value_of
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


def ran(protocol: BenchmarkPlan, folder: Path, methods: Sequence[str], *, seed: int, retrained: int = 10) -> Ran:
    """Run methods under one seed; the target's recipe has it as well, so that draws do not share their weights.

    `retrained` models are trained without the forget rows: fewer where one takes long.
    """
    settings = {**protocol.settings, "recipe": {**protocol.settings["recipe"], "seed": seed}}
    columns = tuple(column for column in protocol.columns if column.partition(":")[0] in protocol.metrics)
    own = replace(protocol, settings=settings, attacks=(), columns=columns)
    plan = benchmark_plan(
        "claim", own, methods, seeds=(seed,), retrained=[seed * 1000 + 101 + i for i in range(retrained)]
    )
    with Store.open(folder / f"store-{seed}") as store:
        records = run_plan(plan, store, run_id="claim", base=folder, progress=Bars(quiet=True))
    return Ran({str(record.request["label"]): record for record in records})
