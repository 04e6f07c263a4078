"""Influence: what leaving rows out does to the weights and to what is measured elsewhere, to first order."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from expunge.contract.job import Job
from expunge.contract.model import Batch, Model
from expunge.engine.curvature import GaussNewton, fit_ekfac, flatten, unflatten
from expunge.engine.gradients import mean_gradient
from expunge.engine.per_example import gradient_products, gradients
from expunge.facts.errors import ContractBroken
from expunge.facts.rows import Rows
from expunge.maths.curvature import Product, conjugate_gradients, largest_eigenvalue, lissa

SOLVERS = ("cg", "lissa", "ekfac")
BATCH = 256
"""Rows of one of LiSSA's steps."""
SAFE = 2.0
"""Where LiSSA's steps take some of the rows: its scale over the largest eigenvalue of all, which that of a few may exceed."""
HELD = 64
"""Queries whose solved gradients are held at once."""
TOLERANCE = 1e-6
"""Relative residual at which conjugate gradients stop."""


@dataclass(frozen=True, kw_only=True)
class Solver:
    """How to solve with the damped Gauss-Newton matrix of the mean loss over rows.

    `cg`: conjugate gradients on exact products. `lissa`: a stochastic recursion, for which exact products over some rows a step are enough.
    `ekfac`: in closed form, on EK-FAC's factors. `damping` None, a tenth of each layer's mean eigenvalue, is EK-FAC's alone.
    """

    kind: str = "ekfac"
    damping: float | None = None
    iterations: int = 100
    draws: int = 1

    def __post_init__(self) -> None:
        if self.kind not in SOLVERS:
            raise ValueError(f"solver must be one of {', '.join(SOLVERS)}, not {self.kind!r}")
        if self.damping is None and self.kind != "ekfac":
            raise ValueError(f"{self.kind} needs a damping: a number")
        if self.damping is not None and self.damping < 0:
            raise ValueError("damping must not be negative")
        if self.iterations < 1 or self.draws < 1:
            raise ValueError("iterations and draws must be at least 1")

    def fitted(self, model: Model, rows: Rows, job: Job) -> Callable[[Mapping[str, Tensor]], dict[str, Tensor]]:
        """Return a function from vectors (k, *shape) by name to (G + damping)^-1 vectors."""
        if self.kind == "ekfac":
            factors = fit_ekfac(model, rows, job=job, draws=self.draws)
            return lambda vectors: factors.solve(vectors, damping=self.damping)
        curvature, damping = GaussNewton(model, rows, job), self.damping or 0.0
        solve = self._conjugate(curvature, damping) if self.kind == "cg" else self._lissa(curvature, damping)

        def each(vectors: Mapping[str, Tensor]) -> dict[str, Tensor]:
            count = len(next(iter(vectors.values())))
            one = [{name: value[i] for name, value in vectors.items()} for i in range(count)]
            solved = [unflatten(solve(flatten(vector, curvature.names)), curvature.named) for vector in one]
            return {name: torch.stack([vector[name] for vector in solved]) for name in curvature.names}

        return each

    def _conjugate(self, curvature: GaussNewton, damping: float) -> Callable[[Tensor], Tensor]:
        def solve(wanted: Tensor) -> Tensor:
            found, residual, taken = conjugate_gradients(
                curvature.product, wanted, damping=damping, iterations=self.iterations, tolerance=TOLERANCE
            )
            notes = curvature.job.notes
            notes["cg_residual"] = max(residual, float(notes.get("cg_residual", 0.0)))
            notes["cg_iterations"] = max(taken, int(notes.get("cg_iterations", 0)))
            return found

        return solve

    def _lissa(self, curvature: GaussNewton, damping: float) -> Callable[[Tensor], Tensor]:
        count, generator = len(curvature.rows), curvature.job.generator
        entries = sum(p.numel() for p in curvature.named.values())
        start = torch.randn(entries, generator=generator).to(next(iter(curvature.named.values())))
        safe = SAFE if count > BATCH else 1.0
        scale = safe * (largest_eigenvalue(curvature.product, start) + damping)
        curvature.job.notes["lissa_scale"] = scale

        def draw() -> Product:
            if count <= BATCH:
                return curvature.product
            indices = torch.randperm(count, generator=generator)[:BATCH].tolist()
            return lambda vector: curvature.product(vector, indices)

        def solve(wanted: Tensor) -> Tensor:
            found = lissa(draw, wanted, damping=damping, scale=scale, iterations=self.iterations)
            if not bool(torch.isfinite(found).all()):
                raise ContractBroken("lissa diverged", do="raise damping, or use cg")
            return found

        return solve


def measured(model: Model, measure: Callable[[Batch], Tensor]) -> Model:
    """Return the adapter with `measure(batch)`, (size,), in the place of its mean loss; the weights are the same ones."""
    twin = copy.copy(model)
    twin.total_loss = lambda batch, noise=None: measure(batch) * batch.lengths().clamp_min(1)  # type: ignore[method-assign]
    return twin


def scores(
    model: Model,
    train_rows: Rows,
    query_rows: Rows,
    *,
    job: Job,
    solver: Solver | None = None,
    measure: Callable[[Batch], Tensor] | None = None,
    curvature_rows: Rows | None = None,
) -> NDArray[np.float64]:
    """Return (queries, train): how much a query's measure rises when a training row is left out, to first order.

    grad measure(query)^T (G + damping)^-1 grad loss(row) / n, with n and G those of `curvature_rows` (the training rows where
    None). `measure` maps a batch to one number a query: its mean loss where None, so that a positive score is a row that helps.
    Sums over rows approximate leaving them all out.

    Source: Koh and Liang 2017; Grosse et al. 2023.
    """
    seen = curvature_rows if curvature_rows is not None else train_rows
    solve = (solver or Solver()).fitted(model, seen, job)
    asked = model if measure is None else measured(model, measure)
    found = []
    for start in range(0, len(query_rows), HELD):
        solved = solve(gradients(asked, query_rows[start : start + HELD], job=job))
        found.append(gradient_products(model, train_rows, solved, job=job).T / len(seen))
    if not found:
        return np.zeros((0, len(train_rows)))
    return np.asarray(torch.cat(found).double().numpy())


def removal(model: Model, forget: Rows, retain: Rows, *, job: Job, solver: Solver) -> dict[str, Tensor]:
    """Return the step (G_retain + damping)^-1 sum over forget of grad loss / (retain rows), by name.

    Where all rows' gradients sum to zero, the forget rows' sum is minus the retain rows': this is one Newton step towards the optimum
    of the retain rows. A regulariser of gamma/2 |weights|^2 beside the sum of losses is damping = gamma / (retain rows).
    """
    share = len(forget) / len(retain)
    wanted = {name: value[None] * share for name, value in mean_gradient(model, forget, job=job).items()}
    return {name: value[0] for name, value in solver.fitted(model, retain, job)(wanted).items()}
