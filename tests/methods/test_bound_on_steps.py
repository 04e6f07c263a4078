"""`max_steps` ends a run whatever passes were asked for: what makes a search's trials and a later run with more passes comparable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import pytest
from classifiers import a_class

from expunge.contract.apply import unlearn
from expunge.contract.job import Job
from expunge.contract.registry import find, units
from expunge.contract.weights import weights_digest
from expunge.engine.descend import Descent

FEW: Mapping[str, Mapping[str, Any]] = {"dmm": {"models": 20}}
"""Settings that keep a method's own models few."""
BOUNDED = [
    name
    for name, unit in units("method").items()
    if "vision" in unit.about.modalities
    and not (unit.about.staged or unit.about.before_training)
    and any(isinstance(one.default, Descent) for one in fields(unit.load()))
]


@pytest.mark.parametrize("name", BOUNDED)
def test_passes_beyond_the_bound_change_nothing(name: str) -> None:
    """Nine steps of batches of 32, of five passes or twelve over 95 forget or more retain rows: the same weights, other than the target's.

    Fails if: passes decide a rate, a schedule or what is drawn before the bound ends them, or the bound is not heeded.
    """
    at = a_class().problem
    digests = []
    for epochs in (5, 12):
        settings = {"epochs": epochs, "batch_size": 32, "max_steps": 9, **FEW.get(name, {})}
        job = Job(seed=3, recipe=at.recipe)
        digests.append(
            weights_digest(unlearn(find("method", name).create(settings), at.target, at.splits, job=job)[0].module)
        )
        assert job.notes["optimiser_steps"] == 9
    assert digests[0] == digests[1] != weights_digest(at.target.module)
