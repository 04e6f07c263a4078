"""A small table problem, and units that do one thing each: right, or wrong in one way."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.descend import Descent
from expunge.facts.rows import Row, Rows
from expunge.modalities.array_tasks import Classification
from expunge.modalities.arrays import ArrayModel
from expunge.modalities.tabular import Features, tabular_model


def table() -> ArrayModel:
    return tabular_model("mlp", features=Features(width=3), task=Classification(classes=3), seed=0, width=5, depth=3)


def rows(name: str, n: int) -> Rows:
    draw = np.random.default_rng(sum(name.encode()))
    fields = [{"features": draw.normal(size=3).astype(np.float32), "label": i % 3} for i in range(n)]
    return Rows(tuple(Row(id=f"{name}{i}", fields=one) for i, one in enumerate(fields)), name)


def splits() -> Splits:
    return Splits.of(forget=rows("forget", 4), retain=rows("retain", 5), holdout=rows("held", 3))


@dataclass(frozen=True, kw_only=True)
class Does:
    """Do what `act` does to the model, and return what it returns (the model, where it returns none)."""

    about = About(
        needs=("forget", "retain"),
        modalities=("tabular",),
        claim="Does what it is told.",
        paper="none",
        link="none",
        year=2026,
    )
    act: Callable[[Any, Splits, Job], Model | None]

    def run(self, model: Model, splits: Splits, job: Job) -> Model:
        return self.act(model, splits, job) or model


def add(amount: float, *names: str) -> Callable[[Any, Splits, Job], None]:
    """Add a number to every entry of the named parameters (all, where none is named)."""

    @torch.no_grad()
    def act(model: Any, splits: Splits, job: Job) -> None:
        for name, parameter in model.module.named_parameters():
            if not names or name in names:
                parameter.add_(amount)

    return act


def disturb(model: Any, splits: Splits, job: Job) -> None:
    """Draw from every global generator, leave train mode and the grad mode changed."""
    torch.manual_seed(99)
    torch.rand(3)
    random.random()
    np.random.rand(3)
    torch.set_grad_enabled(False)
    model.module.train(True)
    with torch.no_grad():
        next(model.module.parameters()).add_(torch.rand(1))


@dataclass(frozen=True, kw_only=True)
class Settled:
    """A unit with settings of each type, one of them a group."""

    about = About(needs=("forget",), modalities=("text",), claim="c", paper="p", link="l", year=2026)
    beta: float = 0.1
    """The strength."""
    rounds: int = 3
    """How often."""
    strict: bool = True
    """Whether."""
    name: str = "x"
    """What it is called."""
    layers: tuple[int, ...] = (1, 2)
    """Where."""
    descent: Descent = Descent(lr=1e-3, epochs=2)
    """The optimiser."""

    def __post_init__(self) -> None:
        if self.beta < 0:
            raise ValueError("beta must not be negative")
