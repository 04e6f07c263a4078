"""Requests at the edge of what a method is made for, on every method that serves images or tables: it works or says why not."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from meta_problems import CLASSES, Problem
from small_requests import METHODS, OWN, RECIPE, again, points, ran, request
from test_contract_of_methods import method_for

from expunge.contract.apply import unlearn
from expunge.contract.checks import mean_loss
from expunge.contract.job import Job
from expunge.contract.splits import Splits
from expunge.contract.weights import weights_digest
from expunge.facts.errors import InputError
from expunge.facts.rows import Row

ONE_IS_TOO_FEW = {"laf": "one representation"}
"""Methods that cannot serve a single forget row, and the words they say so with; an entry that holds no more fails."""
MAY_REFUSE = ("one retain row", "one row each")
"""Requests that are too little for what some methods learn of the retain rows: they may refuse, with words."""


def a_class() -> Problem:
    rows = points(32)
    return request([r for r in rows if r["label"] == 3], [r for r in rows if r["label"] != 3])


def twins() -> Problem:
    """Six forget rows stand among the retain rows again, each under another label."""
    rows = points(32)
    others = [
        Row(id=f"twin-{row.id}", fields={**row.fields, "label": (row["label"] + 1) % CLASSES}) for row in rows[:6]
    ]
    return request(rows[:6], [*rows[6:], *others])


REQUESTS: dict[str, Callable[[], Problem]] = {
    "a class of which no row is retained": a_class,
    "the same features retained under other labels": twins,
    "one forget row": lambda: request(points(32)[:1], points(32)[1:]),
    "one retain row": lambda: request(points(32)[:-1], points(32)[-1:]),
    "one row each": lambda: request(points(32)[:1], points(32)[-1:]),
}


def finite_losses(model: Any, splits: Splits) -> bool:
    return all(math.isfinite(mean_loss(model, rows)) for rows in splits.rows.values())


def fast_where(known: dict[str, Callable[[], Problem]]) -> list[Any]:
    """Name each method with each request; those of methods that train many models are slow."""
    slow = {"dmm", "laf", "s3t"}
    return [
        pytest.param(name, kind, marks=[pytest.mark.slow] if name in slow else [], id=f"{name}-{kind}")
        for name in METHODS
        for kind in known
    ]


@pytest.mark.parametrize(("name", "kind"), fast_where(REQUESTS))
def test_an_unusual_request_is_served_or_refused_with_words(name: str, kind: str) -> None:
    """Fails if a method divides by a count of one less, asks retain rows for every class, or returns NaN.

    A class no row of which is retained is the request of most papers: no method may refuse it, and its loss must rise.
    """
    problem = REQUESTS[kind]()
    if kind == "one forget row" and name in ONE_IS_TOO_FEW:
        with pytest.raises(InputError, match=ONE_IS_TOO_FEW[name]):
            ran(name, problem)
        return
    try:
        problem, made, facts = ran(name, problem)
    except InputError as refused:
        if kind in MAY_REFUSE and refused.do:
            return
        raise
    assert finite_losses(made, problem.splits)
    assert facts.digest_before == weights_digest(problem.target.module)
    if kind.startswith("a class") and "forgets" not in METHODS[name].about.allowances:
        forget = problem.splits.rows["forget"]
        assert mean_loss(made, forget) > mean_loss(problem.target, forget)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n in ("dmm", "laf") else []) for n in METHODS]
)
def test_a_request_twice(name: str) -> None:
    """Fails if an exact method moves a weight for rows that are gone already, or another one breaks on its own output.

    What the exact ones give the second time is the same model, bit for bit, and they say that no row was in.
    """
    problem = request(points(32)[:4], points(32)[4:])
    problem, first, facts = ran(name, problem)
    method = method_for(METHODS[name], **OWN.get(name, {}))
    digest = weights_digest(first.module)
    second, told = again(method, first, problem.splits)
    assert finite_losses(second, problem.splits)
    assert weights_digest(first.module) == digest
    if facts.provenance == "exact":
        assert weights_digest(second.module) == digest
        assert told.provenance == "exact"
        assert told.moved_entries == 0


def test_what_is_exact_is_known() -> None:
    """Of classes and of numbers. Fails if a method that claims to be exact is not found above, or one that keeps what it forgets from stops being idempotent."""
    problem = request(points(32)[:4], points(32)[4:])
    found = {name: ran(name, problem)[2].provenance for name in ("acu", "sisa", "s3t", "retrain", "ascent")}
    assert found == {"acu": "exact", "sisa": "exact", "s3t": "exact", "retrain": found["retrain"], "ascent": "none"}
    numbers = points(32, numbers=True)
    problem = request(numbers[:4], numbers[4:], numbers=True)
    assert {ran(name, problem)[2].provenance for name in ("acu", "sisa", "s3t")} == {"exact"}


@pytest.mark.parametrize("name", METHODS)
def test_everything_is_to_be_forgotten(name: str) -> None:
    """Fails if a method that needs retain rows runs without any, does not say how to give them, or one that needs none refuses.

    The analytic head over no row at all is zero: every class is as likely as any other, and the loss is ln 4 a row.
    """
    problem = request(points(32), [])
    if "retain" in METHODS[name].about.needs:
        method = method_for(METHODS[name])
        with pytest.raises(InputError, match=f"{name} needs retain rows and there are none") as refused:
            unlearn(method, problem.target, problem.splits, job=Job(recipe=RECIPE))
        assert "--retain" in refused.value.do
    elif name == "s3t":
        with pytest.raises(InputError, match="must be trained again") as refused:
            ran(name, problem)
        assert refused.value.do
    else:
        problem, made, _ = ran(name, problem)
        forget = problem.splits.rows["forget"]
        assert mean_loss(made, forget) > mean_loss(problem.target, forget)
        if name == "acu":
            assert mean_loss(made, forget) == pytest.approx(math.log(CLASSES), abs=1e-6)


@pytest.mark.parametrize("rows", [1, 8])
@pytest.mark.parametrize("name", METHODS)
def test_a_regression(name: str, rows: int) -> None:
    """Fails if a method that reads classes runs on a model that has none, or one that needs the loss only breaks on numbers."""
    numbers = points(32, numbers=True)
    problem = request(numbers[:rows], numbers[rows:], numbers=True)
    if "logits" in METHODS[name].about.needs:
        with pytest.raises(InputError, match=f"{name} needs logits") as refused:
            unlearn(method_for(METHODS[name]), problem.target, problem.splits, job=Job(recipe=RECIPE))
        assert "expunge units" in refused.value.do
    elif name in ONE_IS_TOO_FEW and rows == 1:
        with pytest.raises(InputError, match=ONE_IS_TOO_FEW[name]):
            ran(name, problem)
    else:
        problem, made, _ = ran(name, problem)
        assert finite_losses(made, problem.splits)
        assert weights_digest(made.module) != weights_digest(problem.target.module)
