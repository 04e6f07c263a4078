"""Sums of products with twice the digits: against fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from expunge.estimators._sums import ProductSum, slices


def exactly(A: np.ndarray, B: np.ndarray) -> list[list[Fraction]]:
    """Return A'B as fractions."""
    return [
        [sum((Fraction(a) * Fraction(b) for a, b in zip(p, q, strict=True)), Fraction(0)) for q in B.T.tolist()]
        for p in A.T.tolist()
    ]


def test_the_bound_holds_and_is_tight() -> None:
    """Fails if a partial product is left out (22 bits fewer), or the bound is below the true error: 40 problems, rows added and taken away."""
    for seed in range(40):
        draw = np.random.default_rng(seed)
        A = draw.normal(size=(30, 3)) * 10.0 ** draw.integers(-8, 8, size=(30, 3))
        B = draw.normal(size=(30, 2)) * 10.0 ** draw.integers(-3, 3, size=2)
        found = ProductSum((3, 2))
        found.add(A, B, 1.0)
        found.add(A[:20], B[:20], -1.0)
        wanted = exactly(A[20:], B[20:])
        value = found.value()
        entries = [(i, j) for i in range(3) for j in range(2)]
        rounded = sum(float(Fraction(value[i, j]) - wanted[i][j]) ** 2 for i, j in entries) ** 0.5
        pair = [Fraction(found.high[i, j]) + Fraction(found.low[i, j]) - wanted[i][j] for i, j in entries]
        assert rounded <= found.bound()
        assert sum(float(each) ** 2 for each in pair) ** 0.5 <= found.error
        sizes = np.linalg.norm(np.abs(A).max(0)) * np.linalg.norm(np.abs(B).max(0))
        assert found.error <= 1e-16 * sizes


def test_slices_add_up() -> None:
    """Fails if a slice has more than 22 bits or something is lost: 512 rows, entries of like size come back exactly."""
    A = np.random.default_rng(0).uniform(1, 2, size=(512, 4)) * [1e-30, 1.0, 1e30, -3.0]
    parts, _ = slices(A)
    assert np.array_equal(parts[0] + parts[1] + parts[2], A)
    for i, part in enumerate(parts, start=1):
        _, power = np.frexp(np.abs(A).max(0))
        steps = part / np.ldexp(1.0, power - 22 * i)
        assert np.array_equal(steps, np.round(steps))
        assert np.abs(steps).max() <= 2**22
    assert np.array_equal(slices(np.zeros((3, 2)))[0][0], np.zeros((3, 2)))
