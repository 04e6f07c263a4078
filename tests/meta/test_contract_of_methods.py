"""The whole public contract for every method found, on problems of a second."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from meta_problems import Problem, clouds, numbers, people, prepared_by

from expunge.contract.apply import guard
from expunge.contract.checks import check_locator, check_method
from expunge.contract.job import Job
from expunge.contract.registry import Listing, units
from expunge.contract.weights import weights_digest

COMMON: dict[str, Any] = {"batch_size": 4, "clip": 0.05}
"""Several steps an epoch, so that the order of rows matters; a clip that always binds, so that it is seen to matter."""
OWN: dict[str, dict[str, Any]] = {
    "ssd": {"alpha": 1.5},
    "lfssd": {"alpha": 1.5},
    "ebyd": {"clean_rows": 20},
    "sisa": {"shards": 16},
    "s3t": {"shards": 16},
    "boundary_shrink": {"epochs": 8, "bound": 4.0},
    "boundary_expand": {"epochs": 8},
    "dmm": {"models": 40, "epochs": 20},
    "imp": {"rounds": 2},
}
"""Settings that fit 12 rows of 60 or 30: SSD's default asks for more than (all rows)/(forget rows), so that nothing could move;
of few shards any half of the forget rows touches all; over fewer epochs of 3 steps half as long a warm-up is the same one step; each round of IMP is one more training."""
SHARES: dict[str, tuple[str, ...]] = {"imp": ("rate",)}
"""Settings below 1 of methods that act before training, which are halved to be changed."""
SLOWEST = 1e-3
"""Least learning rate here: defaults are tuned on larger models."""


def method_for(listing: Listing, **more: Any) -> Any:
    known = {knob.name: knob for knob in listing.knobs}
    defaults = listing.create()
    descent = getattr(defaults, "descent", None)
    settings = {key: value for key, value in COMMON.items() if key in known or hasattr(descent, key)}
    lr = getattr(descent, "lr", getattr(defaults, "lr", None))
    if lr is not None:
        settings["lr"] = max(lr, SLOWEST)
    return listing.create({**settings, **OWN.get(listing.name, {}), **more})


def problem_for(method: Any, problem: Problem) -> Problem:
    return prepared_by(method, problem) if method.about.before_training else problem


@pytest.mark.parametrize("name", units("method"))
def test_a_method_keeps_the_whole_contract(name: str) -> None:
    """Fails if a method forgets nothing, is not reproducible, ignores a split or a setting, or touches what is the caller's.

    On the table where it serves tables, else on text.
    """
    torch.set_num_threads(1)
    listing = units("method")[name]
    problem = clouds() if "tabular" in listing.about.modalities else people()
    knobs = not listing.about.before_training
    method = method_for(listing)
    measured = check_method(method, problem_for(method, problem), knobs=knobs)
    assert measured["forget_after"] > measured["forget_before"] or "forgets" in listing.about.allowances


@pytest.mark.parametrize("name", [name for name, unit in units("method").items() if unit.about.before_training])
def test_settings_that_act_before_training_change_the_target(name: str) -> None:
    """Fails if a setting of a method that prepares the target changes nothing in it, where it does not say so."""
    from expunge.contract.registry import settings_of

    torch.set_num_threads(1)
    listing = units("method")[name]
    settings = settings_of(listing.create())
    first = prepared_by(listing.create(), clouds()).target
    for knob in sorted(set(settings) - set(listing.about.inert_when)):
        value = settings[knob]
        share = knob in SHARES.get(name, ())
        changed = not value if isinstance(value, bool) else value / 2 if share else value + 1
        other = prepared_by(listing.create({knob: changed}), clouds()).target
        assert weights_digest(other.module) != weights_digest(first.module), knob


@pytest.mark.parametrize(
    "name", [name for name, unit in units("method").items() if {"text", "tabular"} <= set(unit.about.modalities)]
)
def test_a_method_keeps_the_contract_on_text(name: str) -> None:
    """Fails if a method that keeps it on a table breaks it where examples have several positions; settings are not varied again."""
    torch.set_num_threads(1)
    listing = units("method")[name]
    method = method_for(listing, **({"shards": 4} if name == "sisa" else {"shards": 8} if name == "s3t" else {}))
    check_method(method, problem_for(method, people()), knobs=False)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in ("blindspot", "laf") else [])
        for name, unit in units("method").items()
        if "tabular" in unit.about.modalities and "logits" not in unit.about.needs
    ],
)
def test_a_method_keeps_the_contract_on_a_regression(name: str) -> None:
    """Fails if a method that asks for no logits breaks it where a number is predicted, or raises no error on what went."""
    torch.set_num_threads(1)
    method = method_for(units("method")[name])
    check_method(method, problem_for(method, numbers()), knobs=False)


@pytest.mark.parametrize("modality", ["tabular", "text"])
@pytest.mark.parametrize("name", units("locator"))
def test_a_locator_keeps_the_contract(name: str, modality: str) -> None:
    """Fails if a locator changes the model, is not reproducible, or selects everything or nothing."""
    torch.set_num_threads(1)
    listing = units("locator")[name]
    if modality not in listing.about.modalities:
        pytest.skip(f"{name} serves {', '.join(listing.about.modalities)}")
    problem = clouds() if modality == "tabular" else people()
    assert 0 < check_locator(listing.create(), problem) < 1


@pytest.mark.parametrize("name", units("guard"))
def test_a_guard_leaves_the_weights(name: str) -> None:
    """Fails if a guard changes a weight, or says nothing on the very rows it was made for."""
    problem = people()
    before = weights_digest(problem.target.module)
    guarded = guard(units("guard")[name].create(), problem.target, problem.splits, job=Job(seed=0))
    assert weights_digest(guarded.model.module) == before
    said = guarded.screen(list(problem.splits.rows["forget"]))
    assert sum(answer is not None for answer in said) >= 0.9 * len(said)
