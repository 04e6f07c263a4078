"""Sums and sums of squares that never round: whole numbers of any length, and the moments that follow from them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from expunge.estimators._rows import Numbers
from expunge.facts.errors import InputError

POINT = 1126  # every float64 is a whole number of 2**-1126
BLOCK = 1024
LARGEST = 1e150
Whole = NDArray[np.object_]


def check_squares(X: Numbers) -> None:
    """Refuse numbers above 1e150, the squares of which float64 may not hold."""
    if (top := float(np.abs(X).max())) > LARGEST:
        raise InputError(f"X has a value of {top:.1e}: its square is beyond float64", do="scale the features")


def exact_sums(X: Numbers) -> tuple[Whole, Whole]:
    """Return each column's sum in units of 2**-1126 and its sum of squares in units of 2**-2252, as whole numbers without any rounding."""
    total, squares = np.zeros((2, X.shape[1]), dtype=object)
    for start in range(0, len(X), BLOCK):
        fraction, power = np.frexp(X[start : start + BLOCK])
        digits = np.ldexp(fraction, 53).astype(np.int64).astype(object)
        shift = (power.astype(np.int64) - 53 + POINT).astype(object)
        total = total + (digits << shift).sum(0)
        squares = squares + ((digits * digits) << (2 * shift)).sum(0)
    return total, squares


def moments(count: int, total: Whole, squares: Whole) -> tuple[Numbers, Numbers]:
    """Return the means and variances of columns, each rounded once."""
    means = [each / (count << POINT) for each in total]
    spread = [
        (count * square - each * each) / (count * count << 2 * POINT)
        for each, square in zip(total, squares, strict=True)
    ]
    return np.array(means), np.array(spread)


class ClassSums:
    """Each class's number of rows, (classes,), and its features' sums and sums of squares, (classes, features), without rounding."""

    def __init__(self, labels: NDArray[Any], features: int) -> None:
        self.labels = labels
        self.counts = np.zeros(len(labels), dtype=np.int64)
        self.total, self.squares = np.zeros((2, len(labels), features), dtype=object)

    def include(self, y: NDArray[Any]) -> None:
        """Make room for the classes of y."""
        labels = np.union1d(self.labels, y)
        where = np.searchsorted(labels, self.labels)
        for name in ("counts", "total", "squares"):
            old = getattr(self, name)
            new = np.zeros((len(labels), *old.shape[1:]), dtype=old.dtype)
            new[where] = old
            setattr(self, name, new)
        self.labels = labels

    def add(self, X: Numbers, position: Numbers, sign: int) -> None:
        """Add sign times the rows, whose classes are at these positions among the labels; a class without rows goes."""
        for i in np.unique(position).astype(int):
            rows = X[position == i]
            total, squares = exact_sums(rows)
            self.counts[i] += sign * len(rows)
            self.total[i] += sign * total
            self.squares[i] += sign * squares
        here = self.counts > 0
        self.labels, self.counts = self.labels[here], self.counts[here]
        self.total, self.squares = self.total[here], self.squares[here]

    def variances(self) -> Numbers:
        """Return each feature's variance over all rows, (features,)."""
        return moments(int(self.counts.sum()), self.total.sum(0), self.squares.sum(0))[1]

    def moments_by_class(self) -> tuple[Numbers, Numbers]:
        """Return the means and variances within each class, (classes, features)."""
        found = [moments(int(n), a, b) for n, a, b in zip(self.counts, self.total, self.squares, strict=True)]
        return np.stack([mean for mean, _ in found]), np.stack([spread for _, spread in found])
