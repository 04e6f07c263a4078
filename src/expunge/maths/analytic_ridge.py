"""Ridge regression from sums that rows can be added to and taken out of, and that refuses to answer when ill-conditioned."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expunge.facts.errors import InputError

Matrix = NDArray[np.float64]
GRID = 2.0**-14
"""Entries that are multiples of this have products and sums that float64 holds without rounding, up to `LARGEST`."""
LARGEST = 2.0**53 * GRID**2
"""Sums above this lose bits: 3e7, such as a million rows of features near 5."""
TOLERANCE = 1e-8
"""Largest relative error of the solution, by a first-order estimate, at which one is given."""


def on_grid(values: Any) -> Matrix:
    """Return values rounded to multiples of GRID."""
    rounded: Matrix = np.round(np.asarray(values, dtype=np.float64) / GRID) * GRID
    return rounded


@dataclass(frozen=True, eq=False)
class AnalyticRidge:
    """The sums X^T X and X^T Y of the rows that are in, and W = (X^T X + ridge I)^-1 X^T Y re-solved from them.

    No row is kept: to forget rows is to subtract their sums. Where every entry is a multiple of GRID, sums are exact: in whatever order
    and in however many requests rows came and went, the bits are those of sums that never held the rows that are gone. For
    other entries each request leaves its rounding behind, which `relative_error` counts. The published recursion updates
    (X^T X + ridge I)^-1 in place: its error is multiplied by the condition number at every request, and nothing says so.
    """

    gram: Matrix
    cross: Matrix
    ridge: float
    rows: int = 0
    roundings: int = 0
    """Requests that were not on the grid: each may have rounded the sums once."""

    @classmethod
    def empty(cls, width: int, outputs: int, *, ridge: float) -> AnalyticRidge:
        """Return sums over no rows."""
        if not (np.isfinite(ridge) and ridge > 0):
            raise InputError(f"ridge must be above 0, not {ridge}", do="give 0.1 or more")
        return cls(np.zeros((width, width)), np.zeros((width, outputs)), float(ridge))

    def learn(self, features: Any, targets: Any) -> AnalyticRidge:
        """Return the sums with rows (n, width) and their targets (n, outputs) added."""
        return self._moved(features, targets, 1)

    def forget(self, features: Any, targets: Any) -> AnalyticRidge:
        """Return the sums with rows taken out that had been learnt; more rows than were learnt are refused."""
        return self._moved(features, targets, -1)

    def _moved(self, features: Any, targets: Any, sign: int) -> AnalyticRidge:
        x, y = np.asarray(features, dtype=np.float64), np.asarray(targets, dtype=np.float64)
        wanted = (len(x), self.gram.shape[0]), (len(x), self.cross.shape[1])
        if (x.shape, y.shape) != wanted:
            raise InputError(f"features {x.shape} and targets {y.shape} do not fit {wanted[0]} and {wanted[1]}")
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            raise InputError("features or targets are not finite", do="fill in what is missing")
        rows = self.rows + sign * len(x)
        gram, cross = self.gram + sign * (x.T @ x), self.cross + sign * (x.T @ y)
        if rows < 0 or gram.diagonal().min(initial=0.0) < -TOLERANCE * max(1.0, self.gram.diagonal().max(initial=0.0)):
            raise InputError("more is to be forgotten than was learnt", causes=("these rows were never learnt",))
        exact = bool((on_grid(x) == x).all() and (on_grid(y) == y).all())
        # what one call adds up, and what it leaves: both are multiples of GRID^2, exact while no larger than LARGEST
        squares = max(np.square(x).sum(0).max(initial=0.0), gram.diagonal().max(initial=0.0))
        products = np.maximum(np.abs(x).T @ np.abs(y), np.abs(cross))
        if exact and squares > LARGEST:
            raise InputError(f"sums of squares of {squares:.3g} lose bits", do="scale the features down")
        if exact and products.max(initial=0.0) > LARGEST:
            what = f"sums of features times targets may reach {products.max():.3g} and lose bits"
            raise InputError(what, do="scale the targets down, or the features")
        return replace(self, gram=gram, cross=cross, rows=rows, roundings=self.roundings + (not exact))

    def regularised(self) -> Matrix:
        """Return X^T X + ridge I."""
        found: Matrix = self.gram + self.ridge * np.eye(len(self.gram))
        return found

    def relative_error(self) -> float:
        """Return a first-order estimate of the error of W: (1 + roundings) machine epsilons times the condition number."""
        values = np.linalg.eigvalsh(self.regularised())
        if values[0] <= 0:
            return float("inf")
        return float((1 + self.roundings) * np.finfo(np.float64).eps * values[-1] / values[0])

    def solve(self) -> Matrix:
        """Return W, (width, outputs); refuse where its error may exceed TOLERANCE."""
        from scipy.linalg import cho_factor, cho_solve

        error = self.relative_error()
        if error > TOLERANCE:
            raise InputError(
                f"the ridge solution is ill-conditioned: its relative error may be {error:.1e}, allowed is {TOLERANCE:g}",
                causes=(f"ridge {self.ridge:g} is small for these features", "fewer rows are left than features"),
                do="give a larger ridge (0.1 or more)",
            )
        found: Matrix = cho_solve(cho_factor(self.regularised()), self.cross)
        return found

    def digest(self) -> str:
        """Return the sha256 over ridge, count and sums."""
        digest = hashlib.sha256(f"{self.ridge!r}/{self.rows}/{self.gram.shape}/{self.cross.shape}".encode())
        for sums in (self.gram, self.cross):
            digest.update(np.ascontiguousarray(sums + 0.0).tobytes())
        return digest.hexdigest()
