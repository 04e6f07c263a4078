"""Train a certified head's classes together and one after another: OMP_NUM_THREADS=1 python bench/certified.py.

Processor time, one run of each after a small one. Both ways are the package's own: a class alone is a system that its own
Cholesky factor solves, all together share the factor of their mean Hessian. Rows are rectified Gaussian numbers with random labels.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from expunge.maths.certified_head import CertifiedHead
from expunge.statistics.noisy_logistic import Numbers

SETTINGS = {"strength": 1e-2, "sigma": 3.0, "secret": b"bench"}
UNTIL = 3e-9
"""Norm of the gradient at which training ends."""


def line(classes: int, rows: int, width: int) -> str:
    """Return one line: seconds of both ways, their ratio, and how far the weights differ."""
    draw = np.random.default_rng(0)
    given = np.maximum(draw.normal(size=(rows, width)), 0), draw.integers(0, classes, rows).astype(float)
    blank = CertifiedHead(np.zeros((width, classes)), spent=np.zeros(classes), **SETTINGS)  # type: ignore[arg-type]
    problems, start = blank.problems(given), np.zeros((width, 1))
    began = time.process_time()
    together = problems.minimised(until=UNTIL, start=blank.weights)
    middle = time.process_time()
    alone: list[Numbers] = [
        problems.some(np.arange(classes) == k).minimised(until=UNTIL, start=start) for k in range(classes)
    ]
    ended = time.process_time()
    away = float(np.abs(together - np.hstack(alone)).max())
    one, many = ended - middle, middle - began
    return (
        f"{classes:4d} classes   one after another {one:6.2f} s, together {many:6.2f} s: {one / many:5.1f}x; "
        f"weights differ by at most {away:.0e}"
    )


def main() -> None:
    """Print a line for each number of classes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1500)
    parser.add_argument("--width", type=int, default=400)
    given = parser.parse_args()
    line(3, 100, 10)
    for classes in (3, 10, 50, 136):
        print(line(classes, given.rows, given.width), flush=True)


if __name__ == "__main__":
    main()
