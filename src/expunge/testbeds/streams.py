"""Requests one after another, each from the model that the one before left: what is forgotten, and does it stay so."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import torch

from expunge.contract.apply import unlearn
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.block_lora import few_of_each
from expunge.engine.fit import fit
from expunge.engine.order import cut
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Row, Rows


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request of a stream: its rows, those of every earlier one, and what is still to be kept."""

    name: str
    forget: Rows
    earlier: tuple[Rows, ...]
    retain: Rows
    test: Rows


@dataclass(frozen=True, kw_only=True)
class Left:
    """Accuracy after a request on its rows, on those of each earlier one, on retain and test rows; `seconds` are processor time."""

    forget: float
    earlier: tuple[float, ...]
    retain: float
    test: float
    seconds: float
    notes: dict[str, Any]


Forget = Callable[[Model, Request], tuple[Model, dict[str, Any]]]
"""From the model that the request before left to the next one, and what is worth noting."""


def requests_of(
    train: Sequence[Row], test: Sequence[Row], names: Sequence[str], of: Callable[[Row], str]
) -> list[Request]:
    """Return one request for each name: the training rows that `of` gives that name. What is kept shrinks as the stream goes on."""
    found: list[Request] = []
    for i, name in enumerate(names):
        gone = set(names[: i + 1])
        found.append(
            Request(
                name=name,
                forget=Rows(tuple(row for row in train if of(row) == name), "forget"),
                earlier=tuple(one.forget for one in found),
                retain=Rows(tuple(row for row in train if of(row) not in gone), "retain"),
                test=Rows(tuple(row for row in test if of(row) not in gone), "test"),
            )
        )
    return found


@torch.no_grad()
def accuracy(model: Model, rows: Rows) -> float:
    """Return the share of rows whose label is the arg-max."""
    right = 0.0
    for indices in cut(range(len(rows)), 512):
        batch = model.pack(rows.take(indices))
        right += float((model.logits(batch).argmax(-1) == batch.targets).sum())
    return right / len(rows)


def measure(model: Model, request: Request, seconds: float = 0.0, notes: dict[str, Any] | None = None) -> Left:
    """Return what a model knows after a request."""
    return Left(
        forget=accuracy(model, request.forget),
        earlier=tuple(accuracy(model, rows) for rows in request.earlier),
        retain=accuracy(model, request.retain),
        test=accuracy(model, request.test),
        seconds=seconds,
        notes=notes or {},
    )


def follow(target: Model, requests: Sequence[Request], forget: Forget) -> list[Left]:
    """Return what is left after each request, the model unlearned for one being the target of the next."""
    model, found = target, []
    for request in requests:
        began = time.process_time()
        model, notes = forget(model, request)
        found.append(measure(model, request, time.process_time() - began, notes))
    return found


def by_method(method: Any, *, seed: int = 0, few: int = 0) -> Forget:
    """Return a method's way through a stream, with `few` retain rows a class (0 for all)."""

    def forget(model: Model, request: Request) -> tuple[Model, dict[str, Any]]:
        splits, job = Splits.of(forget=request.forget, retain=few_of_each(request.retain, few, seed)), Job(seed=seed)
        return unlearn(method, model, splits, job=job)[0], job.notes

    return forget


def by_training_again(recipe: Recipe, seed: int) -> Forget:
    """Return the yardstick's way: after each request a model trained on all that is still to be kept, and on nothing else."""

    def forget(model: Model, request: Request) -> tuple[Model, dict[str, Any]]:
        again = recipe.model_copy(update={"seed": seed})
        return fit(model.fresh(seed), request.retain, again, job=Job(seed=seed)), {}

    return forget


def mean_earlier(left: Left) -> float | None:
    """Return the mean accuracy on the rows of earlier requests; None at the first."""
    return fmean(left.earlier) if left.earlier else None


def worst_earlier(left: Left) -> float | None:
    """Return the accuracy on the earlier request that came back furthest; None at the first."""
    return max(left.earlier, default=None)
