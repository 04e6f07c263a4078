"""Metrics of a target, two retrained models and an untrained one stand where they must."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from expunge.contract.evidence import Evidence
from expunge.contract.job import Job
from expunge.contract.registry import find
from expunge.facts.score import Score
from expunge.pipeline.measure import Measurer, Wanted
from expunge.testbeds.problem import Problem


@pytest.fixture(scope="module")
def models(text_problem: Problem) -> Mapping[str, Evidence]:
    splits = text_problem.splits.rows
    rows = {"forget": splits["forget"], "retain": splits["retain"][:20]}
    wanted, measurer = Wanted(frozenset({"scores", "generations"}), rows, 24, frozenset(rows)), Measurer(Job())
    given = {"target": text_problem.target, "untrained": text_problem.untrained}
    given |= {f"retrained-{i}": model for i, model in enumerate(text_problem.retrained)}
    found = {name: measurer.evidence(model, wanted, name=name, role=name) for name, model in given.items()}
    retrained = [found["retrained-0"], found["retrained-1"]]

    def linked(one: Evidence) -> Evidence:
        return replace(one, target=found["target"], retrained=tuple(r for r in retrained if r is not one))

    return {name: linked(one) for name, one in found.items()}


KNOWN = ("probability", "rouge", "exact_memorisation", "extraction_strength", "value_recall")


@pytest.mark.parametrize("metric", KNOWN)
def test_target_knows_retrained_does_not_untrained_knows_nothing(metric: str, models: Mapping[str, Evidence]) -> None:
    """Fails if a metric does not see memory, or sees it where there is none; retain rows stay with the retrained models.

    Measured on forget rows, target / retrained / untrained: probability .99 / .005, .004 / .001; ROUGE-L 1 / .55, .51 / .02;
    exact memorisation 1 / .43, .43 / .002; extraction strength 1 / .20, .22 / 0; value recall 1 / .075, .038 / .013.
    """
    unit = find("metric", metric).create()
    found: dict[str, Mapping[str, Score]] = {name: unit.run(one) for name, one in models.items()}

    def value(name: str, split: str) -> float:
        number = found[name][split].value
        assert number is not None
        return number

    assert value("target", "forget") > 0.9
    for name in ("retrained-0", "retrained-1"):
        assert value(name, "forget") < 0.65
        assert value(name, "retain") > 0.9
    assert value("untrained", "forget") < 0.05


def test_truth_ratio_tells_the_target_from_retrained_models(models: Mapping[str, Evidence]) -> None:
    """Fails if wrong answers are not less likely for the target, or forget quality does not see it at 80 rows.

    Measured: truth ratio .48 against .74 and .77 (arithmetic .49 against .74 and .77); p < 1e-6 against .33 of the retrained pair.
    """
    ratio, quality = (find("metric", name).create() for name in ("truth_ratio", "tofu_forget_quality"))
    for form in ("forget", "forget/arithmetic"):
        found = {name: ratio.run(models[name])[form].value for name in ("target", "retrained-0", "retrained-1")}
        assert found["target"] < min(found["retrained-0"], found["retrained-1"]) - 0.1
    assert quality.run(models["target"])["forget"].value < 1e-3 < quality.run(models["retrained-0"])["forget"].value


def test_gap_closed_is_0_untouched_and_1_retrained(models: Mapping[str, Evidence]) -> None:
    """Fails if the anchors of the ratio lie elsewhere than at 0 and 1."""
    closed = {name: find("metric", "gap_closed").create().run(one)["forget"].value for name, one in models.items()}
    assert closed["target"] == 0.0
    assert closed["retrained-0"] == pytest.approx(1.0, abs=0.1)
    assert closed["retrained-1"] == pytest.approx(1.0, abs=0.1)


def test_the_standard_frameworks_floor_shows_on_an_untrained_model(models: Mapping[str, Evidence]) -> None:
    """Fails if extraction strength has the floor 1/L: no token is right here, and its variant still reads .09."""
    floor = find("metric", "extraction_strength_open_unlearning").create().run(models["untrained"])["forget"].value
    assert floor is not None
    assert floor > 0.05
    assert find("metric", "extraction_strength").create().run(models["untrained"])["forget"].value == 0.0


def test_groups_are_resampled_whole_or_not_at_all(models: Mapping[str, Evidence]) -> None:
    """Fails if intervals of two people's rows are those of two numbers: below ten groups rows are the units."""
    score = find("metric", "rouge").create().run(models["retrained-0"])["forget"]
    assert score.low is not None
    assert score.high is not None
    assert 0 < score.high - score.low < 0.3
