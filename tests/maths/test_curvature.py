from __future__ import annotations

import pytest
import torch
from torch import Tensor

from expunge.maths.curvature import (
    Kronecker,
    conjugate_gradients,
    largest_eigenvalue,
    lissa,
    rotated_squares,
)


def diagonal(*values: float):  # type: ignore[no-untyped-def]
    return lambda vector: torch.tensor(values, dtype=vector.dtype) * vector


def test_conjugate_gradients_by_hand() -> None:
    """(diag(1, 3) + 1) x = (2, 4): x = (1, 1), in two steps. Fails if: the damping is left out (2, 4/3) or counted twice."""
    found, residual, taken = conjugate_gradients(
        diagonal(1.0, 3.0), torch.tensor([2.0, 4.0]), damping=1.0, iterations=9, tolerance=1e-6
    )
    assert found.tolist() == pytest.approx([1.0, 1.0])
    assert residual < 1e-6
    assert taken == 2
    first = conjugate_gradients(diagonal(1.0, 3.0), torch.tensor([2.0, 4.0]), damping=1.0, iterations=1, tolerance=0.0)
    assert first[0].tolist() == pytest.approx([2 * 20 / 72, 4 * 20 / 72])


def test_conjugate_gradients_on_a_badly_conditioned_system() -> None:
    """Eigenvalues from 1e-5 to 1 in float32. Fails if: the recursion's directions are not made conjugate."""
    draw = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(40, 40, generator=draw))[0]
    matrix = basis @ torch.diag(torch.logspace(-5, 0, 40)) @ basis.T
    wanted = torch.randn(40, generator=draw)
    found, residual, _ = conjugate_gradients(lambda v: matrix @ v, wanted, damping=1e-3, iterations=200, tolerance=1e-6)
    exact = torch.linalg.solve(matrix.double() + 1e-3 * torch.eye(40), wanted.double())
    assert residual < 1e-5
    assert float((found - exact).norm() / exact.norm()) < 1e-3


def test_lissa_by_hand() -> None:
    """H = 1, damping 1/2, scale 2, wanted 3: 1.5, then 1.5 + (3 - 1.5 * 1.5)/2 = 1.875, towards 3/1.5 = 2.

    Fails if: the damping is left out (2.25), the scale is not divided out, or the start is the unscaled vector.
    """
    wanted = torch.tensor([3.0])
    found = [float(lissa(lambda: diagonal(1.0), wanted, damping=0.5, scale=2.0, iterations=i)) for i in (0, 1, 60)]
    assert found == pytest.approx([1.5, 1.875, 2.0])


def test_largest_eigenvalue() -> None:
    """Fails if: the vector is not renormalised, or a zero matrix divides by zero."""
    assert largest_eigenvalue(diagonal(1.0, 7.0, 2.0), torch.ones(3)) == pytest.approx(7.0, rel=1e-4)
    assert largest_eigenvalue(diagonal(0.0, 0.0), torch.ones(2)) == 0.0


def plain_squares(rows: Tensor, columns: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Each example's gradient is built, then rotated, then squared."""
    found = torch.zeros(left.shape[1], right.shape[1])
    for row, column in zip(rows, columns, strict=True):
        found += (left.T @ (row.T @ column) @ right).square()
    return found


@pytest.mark.parametrize("places", [1, 5])
def test_rotating_first_equals_rotating_the_gradient(places: int) -> None:
    """Fails if: places are squared before they are summed, a basis is transposed, or the sum over examples is a mean."""
    draw = torch.Generator().manual_seed(places)
    rows, columns = (torch.randn(30, places, width, generator=draw) for width in (12, 17))
    left, right = (torch.linalg.qr(torch.randn(width, width, generator=draw))[0] for width in (12, 17))
    wanted = plain_squares(rows, columns, left, right)
    torch.testing.assert_close(rotated_squares(rows, columns, left, right), wanted, rtol=1e-4, atol=1e-4)


def test_a_layer_is_solved_as_the_dense_matrix_is() -> None:
    """(left (x) right) diag(eigenvalues) (left (x) right)^T + damping, inverted. Fails if: a rotation is left out or turned over."""
    draw = torch.Generator().manual_seed(0)
    left, right = (torch.linalg.qr(torch.randn(n, n, generator=draw))[0] for n in (3, 4))
    eigenvalues = torch.rand(3, 4, generator=draw)
    given = torch.randn(2, 3, 4, generator=draw)
    both = torch.kron(left, right)
    for damping, added in ((0.2, 0.2), (None, 0.1 * float(eigenvalues.mean()))):
        dense = both @ torch.diag(eigenvalues.flatten()) @ both.T + added * torch.eye(12)
        wanted = torch.linalg.solve(dense, given.flatten(1).T).T.view(2, 3, 4)
        found = Kronecker("w", "b", left, right, eigenvalues).solve(given, damping)
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
