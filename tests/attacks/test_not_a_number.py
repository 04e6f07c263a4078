"""A model of finite weights whose outputs are no numbers: nothing may be read from it, and nothing may stop the verification."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from classifiers import NEEDS, Measured, a_class, linked

from expunge.contract.evidence import Evidence
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.registry import units
from expunge.facts.errors import InputError
from expunge.pipeline.measure import Measurer, Wanted
from expunge.statistics.answers import predicted

WITHOUT_OUTPUTS = {"layer_distance"}
"""Metrics of the weights alone, which are numbers."""


@cache
def wrecked() -> tuple[Measured, Model, Evidence]:
    measured = a_class()
    model = measured.problem.target.copy()
    with torch.no_grad():
        for parameter in model.module.parameters():
            parameter.mul_(1e30)
        assert all(bool(parameter.isfinite().all()) for parameter in model.module.parameters())
        assert not bool(model.logits(model.pack(measured.problem.splits.rows["forget"])).isfinite().all())
    wanted = Wanted(NEEDS | {"scores", "shadows"}, measured.evidence["target"].rows)
    found = {
        name: Measurer(Job()).evidence(one, wanted, name=name, role=name.partition("-")[0])
        for name, one in {**measured.models, "unlearned": model}.items()
    }
    return measured, model, linked(found["unlearned"], found)


def test_an_answer_is_not_the_first_choice_where_nothing_compares() -> None:
    """Fails if NaN stands before nothing, so that every row is answered right."""
    _, _, evidence = wrecked()
    for split in ("forget", "retain", "test"):
        with pytest.raises(InputError, match="not numbers at"):
            predicted(evidence.of(split), evidence.rows[split])


@pytest.mark.parametrize("name", [name for name, unit in units("attack").items() if "vision" in unit.about.modalities])
def test_no_attack_has_a_number(name: str) -> None:
    """Fails if an attack succeeds, fails or stops the run on it: then every row comes out, or none does."""
    measured, model, evidence = wrecked()
    found = units("attack")[name].create().run(evidence, measured.probe(model))
    assert found.unscored, (found.forget[:5], found.item_control[:5])


@pytest.mark.parametrize("name", [name for name, unit in units("metric").items() if "vision" in unit.about.modalities])
def test_no_metric_has_a_number(name: str) -> None:
    """Fails if accuracy is 1, a distance 0, or the run ends with an error."""
    _, _, evidence = wrecked()
    for split, score in units("metric")[name].create().run(evidence).items():
        assert name in WITHOUT_OUTPUTS or score.unscored, (split, score.value)
