"""Sums of products A'B that can be added to and taken from a hundred times: twice the digits of float64, by exact partial products.

Each column is cut into three slices of 22 bits below its largest entry; a product of two slices over up to 512 rows fits 53 bits, so
a matrix product in float64 has no rounding at all. Six of these make A'B to about 2^-64 of the largest entries, and they are added
into a pair (high, low) whose addition keeps the rounding of `high` in `low` (Knuth's two-sum).
Source: Ozaki, Ogita, Oishi, Rump 2012, Numerical Algorithms 59, 95-118.
"""

from __future__ import annotations

import numpy as np

from expunge.estimators._rows import Numbers

BITS, BLOCK = 22, 512
UNIT = float(np.finfo(np.float64).eps) / 2


class ProductSum:
    """A sum of A'B over rows, with an upper bound on the norm of its error."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.high, self.low, self.error = np.zeros(shape), np.zeros(shape), 0.0

    def copy(self) -> ProductSum:
        """Return a sum that can be changed without changing this one."""
        found = ProductSum(self.high.shape)
        found.high, found.low, found.error = self.high.copy(), self.low.copy(), self.error
        return found

    def add(self, A: Numbers, B: Numbers, sign: float) -> None:
        """Add sign times A'B."""
        for start in range(0, len(A), BLOCK):
            a, a_size = slices(A[start : start + BLOCK])
            b, b_size = slices(B[start : start + BLOCK])
            for i, j in ((0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (2, 0)):
                self._include(sign * (a[i].T @ b[j]))
            rows = len(a[0])
            self.error += 2.0 ** (2 - 3 * BITS) * rows * float(np.linalg.norm(a_size) * np.linalg.norm(b_size))
            self.error += 12 * UNIT * float(np.linalg.norm(self.low))

    def value(self) -> Numbers:
        """Return the sum, rounded once."""
        return self.high + self.low

    def bound(self) -> float:
        """Return an upper bound on the Frobenius norm of value() minus the true sum."""
        return self.error + UNIT * float(np.linalg.norm(self.high))

    def _include(self, term: Numbers) -> None:
        total = self.high + term
        rest = total - self.high
        self.low += (self.high - (total - rest)) + (term - rest)
        self.high = total


def slices(A: Numbers) -> tuple[list[Numbers], Numbers]:
    """Return three matrices of 22 bits a column that add up to A but for 2^-66 of each column's largest entry, and those entries' bound."""
    _, power = np.frexp(np.abs(A).max(0))
    found, rest = [], A
    for i in range(1, 4):
        step = np.ldexp(1.0, power - i * BITS)
        found.append(np.round(rest / step) * step)
        rest = rest - found[-1]
    return found, np.ldexp(1.0, power)
