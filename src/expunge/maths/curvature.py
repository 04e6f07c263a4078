"""Solve with a damped curvature: conjugate gradients, LiSSA's recursion, and one layer's eigenvalue-corrected Kronecker factors."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Product = Callable[[Tensor], Tensor]
"""A symmetric positive semi-definite matrix times a vector, (parameters,) -> (parameters,)."""


def conjugate_gradients(
    product: Product, wanted: Tensor, *, damping: float, iterations: int, tolerance: float
) -> tuple[Tensor, float, int]:
    """Return (x with (H + damping) x = wanted, relative residual, iterations taken).

    Vectors are kept in float64: the recursion loses its conjugacy to rounding before a badly conditioned system is solved.
    """
    target = wanted.double()
    found, residual = torch.zeros_like(target), target.clone()
    direction, size = residual.clone(), float(target.norm())
    square, taken = size**2, 0
    while taken < iterations and math.sqrt(square) > tolerance * size:
        image = product(direction.to(wanted.dtype)).double() + damping * direction
        curved = float(direction @ image)
        if curved <= 0:
            break
        step = square / curved
        found += step * direction
        residual -= step * image
        last, square = square, float(residual @ residual)
        direction = residual + (square / last) * direction
        taken += 1
    return found.to(wanted.dtype), math.sqrt(square) / size if size else 0.0, taken


def largest_eigenvalue(product: Product, start: Tensor, *, iterations: int = 20) -> float:
    """Return the Rayleigh quotient after `iterations` of the power method from `start`: at most the largest eigenvalue, near it."""
    vector, found = start / start.norm(), 0.0
    for _ in range(iterations):
        image = product(vector)
        found, norm = float(vector @ image), float(image.norm())
        if norm == 0:
            return 0.0
        vector = image / norm
    return found


def lissa(draw: Callable[[], Product], wanted: Tensor, *, damping: float, scale: float, iterations: int) -> Tensor:
    """Return the last x of x <- x + (wanted - (H_j + damping) x) / scale, from x = wanted / scale; `draw` gives each step's H_j.

    In the mean x nears the solution by a factor (1 - (eigenvalue + damping) / scale) a step: it needs scale above half of the
    largest eigenvalue of every H_j, and about scale/damping steps.
    """
    found = wanted / scale
    for _ in range(iterations):
        found = found + (wanted - draw()(found) - damping * found) / scale
    return found


def rotated_squares(rows: Tensor, columns: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Return sum over examples of ((left^T g right)_ij)^2, (R, C), where g = sum over places t of rows_t (x) columns_t.

    `rows` (examples, places, R), `columns` (examples, places, C). The factors are rotated, never the gradient: at one place an example
    this is (rows left)^2^T (columns right)^2, two small products in place of two of the gradient's own size an example.
    """
    turned_rows, turned_columns = rows @ left, columns @ right
    if rows.shape[1] == 1:
        return turned_rows[:, 0].square().T @ turned_columns[:, 0].square()
    found = rows.new_zeros(rows.shape[2], columns.shape[2])
    step = max(1, 2**22 // found.numel())
    for i in range(0, len(rows), step):
        found += torch.bmm(turned_rows[i : i + step].mT, turned_columns[i : i + step]).square_().sum(0)
    return found


@dataclass(frozen=True)
class Kronecker:
    """One layer's curvature: (left (x) right) diag(eigenvalues) (left (x) right)^T over its (R, C) weight, the bias as last column.

    `weight` and `bias` are the parameters' names; `bias` is empty where there is none.
    """

    weight: str
    bias: str
    left: Tensor
    right: Tensor
    eigenvalues: Tensor

    def solve(self, matrices: Tensor, damping: float | None) -> Tensor:
        """Return left (left^T V right / (eigenvalues + damping)) right^T for each V of (k, R, C)."""
        turned = self.left.T @ matrices @ self.right / (self.eigenvalues + damping_of(self.eigenvalues, damping))
        found: Tensor = self.left @ turned @ self.right.T
        return found


SHARE = 0.1
"""Of the mean eigenvalue: the damping where none is given, as the paper has it."""


def damping_of(eigenvalues: Tensor, damping: float | None) -> float:
    """Return `damping`, or a tenth of the mean eigenvalue where it is None."""
    return damping if damping is not None else SHARE * float(eigenvalues.mean())
