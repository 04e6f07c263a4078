"""EK-FAC's eigenvalue pass, rotating first against rotating whole gradients: python bench/second_order.py [--width 256].

One thread, processor time, the least of several runs. Both sum ((Q_S^T g Q_A)_ij)^2 over examples: the plain way builds each example's
gradient g and rotates it (the way of a published library), the other rotates the layer's inputs and output gradients.
Below, all of influence: scores of some queries by EK-FAC and by conjugate gradients on a small MLP.
"""

from __future__ import annotations

import argparse
from functools import partial

import numpy as np
import torch
from torch import Tensor

from expunge.contract.job import Job
from expunge.engine.influence import Solver, scores
from expunge.facts.rows import Row, Rows
from expunge.maths.curvature import rotated_squares
from expunge.modalities.array_tasks import Classification
from expunge.modalities.tabular import Features, tabular_model
from timing import seconds

EXAMPLES = 64


def plain(rows: Tensor, columns: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Build every gradient of the batch, rotate, square, sum."""
    gradients = torch.bmm(rows.mT, columns)
    return (left.T @ gradients @ right).square_().sum(0)


def eigenvalue_pass(width: int, places: int) -> str:
    """Return one line: milliseconds of both and their ratio."""
    draw = torch.Generator().manual_seed(0)
    rows, columns = (torch.randn(EXAMPLES, places, n, generator=draw) for n in (width, width + 1))
    left, right = (torch.linalg.qr(torch.randn(n, n, generator=draw))[0] for n in (width, width + 1))
    wanted, found = plain(rows, columns, left, right), rotated_squares(rows, columns, left, right)
    error = float((found - wanted).abs().max() / wanted.abs().max())
    slow = seconds(lambda: plain(rows, columns, left, right))
    fast = seconds(lambda: rotated_squares(rows, columns, left, right))
    return f"{width:>6}{places:>8}{slow * 1000:>12.1f}{fast * 1000:>12.1f}{slow / fast:>9.1f}x  {error:.0e}"


def whole(queries: int = 20, count: int = 500) -> str:
    """Return seconds of scores by EK-FAC and by conjugate gradients, and their ratio."""
    draw = np.random.default_rng(0)
    made = [
        Row(id=str(i), fields={"features": draw.normal(size=32).tolist(), "label": i % 4})
        for i in range(count + queries)
    ]
    model = tabular_model("mlp", features=Features(width=32), task=Classification(classes=4), width=64, seed=0)
    train, asked = Rows(tuple(made[:count])), Rows(tuple(made[count:]))
    taken = {
        kind: seconds(partial(scores, model, train, asked, job=Job(), solver=Solver(kind=kind, damping=0.01)), 1)
        for kind in ("ekfac", "cg")
    }
    ratio = taken["cg"] / taken["ekfac"]
    return f"{queries} queries x {count} rows: ekfac {taken['ekfac']:.2f} s, cg {taken['cg']:.2f} s, {ratio:.1f}x"


def main() -> None:
    """Print one line a case."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--width", type=int, default=256)
    width = parser.parse_args().width
    torch.set_num_threads(1)
    print(f"{'width':>6}{'places':>8}{'plain ms':>12}{'rotate ms':>12}{'ratio':>10}  worst error")
    for places in (1, 4, 64):
        print(eigenvalue_pass(width, places), flush=True)
    print(whole())


if __name__ == "__main__":
    main()
