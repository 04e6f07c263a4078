"""Selective synaptic dampening against retraining: python bench/dampening.py [--epochs 100].

One thread, processor time, the least of several runs (of one for retraining). The class of threes is removed from an MLP 64-256-256-10 on
digits. `rows` counts rows whose gradient is taken, once each a pass; `stored` is what is left where the importances of all rows were
stored at training, as the paper has it: forget rows alone.
"""

from __future__ import annotations

import argparse
from functools import partial

import torch

from expunge.contract.apply import unlearn
from expunge.contract.job import Job
from expunge.engine.fisher import diagonal_fisher
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
    both, print_line = len(forget) + len(retain), "{:24}{:>9.1f} ms{:>9.2%} of its time{:>9.2%} of its rows"
    for name, method in (
        ("ssd", SSD()),
        ("ssd, batches of 64", SSD(batch_size=64)),
        ("lfssd", LFSSD()),
        ("assd", ASSD()),
    ):
        taken = seconds(partial(unlearn, method, problem.target, problem.splits))
        print(print_line.format(name, 1000 * taken, taken / again, both / rows))
    stored = seconds(lambda: diagonal_fisher(problem.target, forget, job=Job()))
    print(print_line.format("forget importances alone", 1000 * stored, stored / again, len(forget) / rows))


if __name__ == "__main__":
    main()
