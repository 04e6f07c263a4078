"""Selective synaptic dampening against retraining: python bench/dampening.py [--epochs 100].

One thread, processor time, the least of several runs (of one for retraining). The class of threes is removed from an MLP 64-256-256-10 on
digits. A removal reads the forget rows and, the first time, all rows; `later` has the importance of all rows from an earlier removal
(another seed, setting or request), as the paper stores it at training.
"""

from __future__ import annotations

import argparse

import torch

from expunge.contract.apply import unlearn
from expunge.contract.job import Cache, Forgetful, Job, Remembering
from expunge.contract.units import Method
from expunge.engine.fit import fit
from expunge.methods.assd import ASSD
from expunge.methods.lfssd import LFSSD
from expunge.methods.ssd import SSD
from expunge.testbeds.vision import CLASS_RECIPE, class_problem
from timing import seconds


def main() -> None:
    """Print retraining's seconds and each method's share of them, in time and in rows."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=100)
    epochs = parser.parse_args().epochs
    torch.set_num_threads(1)
    problem = class_problem("mlp", retrained=0, width=256, depth=1)
    forget, retain = (problem.splits.rows[name] for name in ("forget", "retain"))
    recipe = CLASS_RECIPE.model_copy(update={"epochs": epochs})
    again = seconds(lambda: fit(problem.target.fresh(1), retain, recipe, job=Job(seed=1)), 1)
    rows = epochs * len(retain)
    print(f"retraining, {epochs} epochs: {again:.2f} s, {rows} rows")
    line = "{:28}{:>9.1f} ms{:>9.2%} of its time{:>9.2%} of its rows"
    for name, method in (
        ("ssd", SSD()),
        ("ssd, batches of 64", SSD(batch_size=64)),
        ("lfssd", LFSSD()),
        ("assd", ASSD()),
    ):
        for when, cache in (("first", Forgetful()), ("later", Remembering())):
            read: list[int] = []

            def removal(method: Method = method, cache: Cache = cache, read: list[int] = read) -> None:
                job = Job(cache=cache)
                unlearn(method, problem.target, problem.splits, job=job)
                read.append(len(forget) + job.notes["all_rows_read"])

            taken = seconds(removal)
            print(line.format(f"{name}, {when}", 1000 * taken, taken / again, read[-1] / rows))


if __name__ == "__main__":
    main()
