"""Requests one after another, each from the model that the one before left: what is forgotten, and does it stay so."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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
from expunge.facts.errors import InputError
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Row, Rows


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request of a stream: its rows, those of every earlier one, and what is still to be kept; no method gets a row of `missing`."""

    name: str
    forget: Rows
    earlier: tuple[Rows, ...]
    retain: Rows
    test: Rows
    missing: Rows = Rows((), "missing")


@dataclass(frozen=True, kw_only=True)
class Left:
    """Accuracy after a request on its rows, on those of each earlier one, on retain, test and missing rows; `seconds` of a processor."""

    forget: float
    earlier: tuple[float, ...]
    retain: float
    test: float
    seconds: float
    notes: dict[str, Any]
    missing: float | None = None


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


def lacking(requests: Sequence[Request], count: int, seed: int) -> list[Request]:
    """Return the stream with retain rows of `count` classes made `missing`: classes drawn under a seed, of those no request asks for."""
    stay = sorted({int(row["label"]) for row in requests[-1].retain})
    if not 0 < count < len(stay):
        raise InputError(
            f"{count} of {len(stay)} classes that stay cannot be missing", do="leave some, and some missing"
        )
    order = torch.randperm(len(stay), generator=torch.Generator().manual_seed(seed)).tolist()
    drawn = {stay[i] for i in order[:count]}

    def of(rows: Rows, given: bool) -> Rows:
        return rows.take([i for i, row in enumerate(rows) if (int(row["label"]) not in drawn) == given])

    return [
        replace(one, retain=of(one.retain, True), missing=replace(of(one.retain, False), name="missing"))
        for one in requests
    ]


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
        missing=accuracy(model, request.missing) if request.missing else None,
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
    """Return the yardstick's way: after each request a model trained on all that is still to be kept, missing or not, and nothing else."""

    def forget(model: Model, request: Request) -> tuple[Model, dict[str, Any]]:
        again = recipe.model_copy(update={"seed": seed})
        kept = Rows((*request.retain, *request.missing), "retain")
        return fit(model.fresh(seed), kept, again, job=Job(seed=seed)), {}

    return forget


def mean_earlier(left: Left) -> float | None:
    """Return the mean accuracy on the rows of earlier requests; None at the first."""
    return fmean(left.earlier) if left.earlier else None


def worst_earlier(left: Left) -> float | None:
    """Return the accuracy on the earlier request that came back furthest; None at the first."""
    return max(left.earlier, default=None)


def mean_so_far(left: Left) -> float:
    """Return the mean accuracy on the rows of every request so far, this one's too."""
    return fmean((left.forget, *left.earlier))


def worst_so_far(left: Left) -> float:
    """Return the most accuracy that is left on any request so far, this one too."""
    return max(left.forget, *left.earlier, 0.0)
