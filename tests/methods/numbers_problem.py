"""A regression that is learned by heart: a noisy value of ten numbers, with models retrained without some of the rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from scipy.stats import wasserstein_distance

from expunge.contract.apply import unlearn
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.registry import build
from expunge.contract.splits import Splits
from expunge.engine.predict import predict
from expunge.engine.score import score
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Row, Rows
from expunge.modalities.array_tasks import Regression
from expunge.modalities.tabular import Features, tabular_model
from expunge.statistics.auc import auc
from expunge.testbeds.problem import Problem, train_problem

RECIPE = Recipe(epochs=60, lr=5e-3, batch_size=64)


@cache
def planted(seed: int, *, retrained: int = 10) -> Problem:
    """240 rows to train on, 40 of them to forget; y = 20 + 4 (sin 2 x0 + x1 x2 + noise): what can be guessed, and what cannot.

    Kept: change only copies.
    """
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(400, 10)).astype(np.float32)
    y = 20 + 4 * (np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] + 0.5 * draw.normal(size=400))
    rows = Rows(tuple(Row(id=f"{seed}-{i}", fields={"features": x[i], "label": float(y[i])}) for i in range(400)))
    splits = Splits.of(forget=rows[:40], retain=rows[40:240], holdout=rows[240:300], test=rows[300:])
    task = Regression(mean=float(y[40:240].mean()), std=float(y[40:240].std()))
    blank = tabular_model("mlp", features=Features(width=10), task=task, seed=seed, width=128, depth=1)
    return train_problem("numbers", splits, blank, RECIPE.model_copy(update={"seed": seed}), retrained=retrained)


@dataclass(frozen=True)
class Read:
    """What a model does on the rows: mean absolute errors, distance of its forget predictions to retrained, member AUC of the loss."""

    forget: float
    retain: float
    test: float
    distance: float
    auc: float


def said(model: Model, rows: Rows) -> np.ndarray:
    return predict(model, rows, job=Job())[:, 0].astype(np.float64)


def read(problem: Problem, model: Model) -> Read:
    rows = problem.splits.rows
    errors = {name: float(np.abs(said(model, rows[name]) - [row["label"] for row in rows[name]]).mean())
              for name in ("forget", "retain", "test")}  # fmt: skip
    others = [said(one, rows["forget"]) for one in problem.retrained if one is not model]
    losses = [score(model, rows[name], job=Job()).mean_log_prob() for name in ("forget", "holdout")]
    distance = float(np.mean([wasserstein_distance(said(model, rows["forget"]), other) for other in others]))
    return Read(errors["forget"], errors["retain"], errors["test"], distance, auc(*losses))


def after(problem: Problem, method: type, settings: dict[str, Any] | None = None, *, seed: int = 0) -> Model:
    unit = build(method, settings or {}, where="test")
    return unlearn(unit, problem.target, problem.splits, job=Job(seed=seed, recipe=problem.recipe))[0]
