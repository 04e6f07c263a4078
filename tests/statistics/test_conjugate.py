"""Conjugate gradients over many systems: the solutions, and what each iteration is asked for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import cho_factor

from expunge.statistics.conjugate import solve_many


def systems(seed: int, width: int = 12, many: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Return positive definite matrices, (many, width, width), and right sides, (width, many)."""
    draw = np.random.default_rng(seed)
    root = draw.normal(size=(many, width, width))
    return root @ root.swapaxes(1, 2) + np.eye(width), draw.normal(size=(width, many))


def asked_of(
    matrices: np.ndarray, factor: np.ndarray, wanted: np.ndarray, within: np.ndarray
) -> tuple[np.ndarray, list[int]]:
    """Return the solutions, and how many systems each product was asked of."""
    asked: list[int] = []

    def product(moves: np.ndarray, which: np.ndarray) -> np.ndarray:
        asked.append(moves.shape[1])
        return np.einsum("kij,jk->ik", matrices[which], moves)

    return solve_many(product, cho_factor(factor), wanted, within=within), asked


def test_solutions_are_those_of_each_matrix() -> None:
    """20 draws of 5 systems under one factor, of their mean. Fails if a system reads another's matrix, length or direction."""
    for seed in range(20):
        matrices, wanted = systems(seed)
        found, _ = asked_of(matrices, matrices.mean(0), wanted, np.full(5, 1e-11))
        assert found == pytest.approx(np.linalg.solve(matrices, wanted.T[:, :, None])[:, :, 0].T, rel=1e-7, abs=1e-9)


def test_a_matrix_that_is_the_factor_takes_one_iteration(monkeypatch: pytest.MonkeyPatch) -> None:
    """And those that are done are not asked again; what the most iterations do not reach is left.

    Fails if the factor is not used, or all systems go on until the last is done.
    """
    matrices, wanted = systems(0)
    found, asked = asked_of(matrices[[2, 1]], matrices[2], wanted[:, [2, 1]], np.full(2, 1e-9))
    assert asked[:2] == [2, 1]
    assert len(asked) <= 14
    assert found[:, 0] == pytest.approx(np.linalg.solve(matrices[2], wanted[:, 2]))
    monkeypatch.setattr("expunge.statistics.conjugate.MOST", 3)
    assert asked_of(matrices, matrices.mean(0), wanted, np.full(5, 1e-9))[1] == [5, 5, 5]
