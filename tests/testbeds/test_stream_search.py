"""The search that a stream of requests begins with, and the rule that ends it."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from benches import bench
from small_stream import two_requests

from expunge.contract.model import Model
from expunge.facts.errors import ContractBroken, InputError
from expunge.facts.recipe import Recipe
from expunge.methods.finetune import Finetune
from expunge.methods.random_label import RandomLabel
from expunge.testbeds.streams import Left


def test_every_method_is_searched_alike_and_never_on_a_request_that_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails if: the search sees a reported request or a reported seed, one method's search ends by another rule, the defaults are not
    tried, a given setting is searched, missing classes are given, the choice is not the least gap, or a kept choice is searched again."""
    module, runs = bench("stream"), []
    own = two_requests(module, Recipe(epochs=1))
    given = argparse.Namespace(seeds=2, few=2, missing=1, every=1, out=tmp_path)
    for unit in (RandomLabel, Finetune):
        real = unit.run

        def spy(self: Any, model: Model, splits: Any, job: Any, real: Any = real) -> Model:
            forget = splits.forget.ids if isinstance(self, RandomLabel) else ()
            runs.append((type(self), self.descent.lr, forget, job.seed, [one["label"] for one in splits.retain]))
            return real(self, model, splits, job)

        monkeypatch.setattr(unit, "run", spy)
    names = ["random_label", "random_label lr=0.25", "finetune"]
    chosen = module.searched(names, tmp_path / "searched", lambda: module.unasked(own, given))
    reported = {one for request in own.requests for one in request.forget.ids}
    assert not reported & {one for request in own.unasked for one in request.forget.ids}
    assert {forget for _, _, forget, _, _ in runs} == {own.unasked[0].forget.ids, ()}
    assert {seed for _, _, _, seed, _ in runs}.isdisjoint(range(given.seeds))
    assert [len(labels) for *_, labels in runs] == [4] * len(runs)
    made = [len(chosen[name]["trials"]) for name in names]
    assert len(runs) == sum(made)
    assert all(module.PATIENCE < own <= module.MOST for own in made)
    for i, name in enumerate(names):
        trials, rates = chosen[name]["trials"], [lr for _, lr, *_ in runs[sum(made[:i]) :][: made[i]]]
        found = [one["gap"] for one in trials]
        assert chosen[name]["gap"] == min(found)
        assert chosen[name]["settings"] in [one["settings"] for one in trials if one["gap"] == chosen[name]["gap"]]
        assert len(trials) == module.MOST or found.index(min(found)) == len(found) - 1 - module.PATIENCE
        assert rates[0] == (0.25 if "=" in name else (RandomLabel() if i == 0 else Finetune()).descent.lr)
        assert len(set(rates)) == (1 if "=" in name else made[i])
    assert module.searched(names, tmp_path / "searched", pytest.fail) == chosen
    assert len(runs) == sum(made)


def test_a_search_ends_where_trials_in_a_row_bring_nothing() -> None:
    """By hand, patience 2. Fails if: a search goes on past the rule or past its trials, or an equal value counts as a gain."""
    until_idle = bench("trials").until_idle

    def asked(*values: float, most: int = 9) -> list[float]:
        return until_idle(lambda number: values[number], lambda value: value, most=most, patience=2)

    assert asked(3, 2, 2, 2, 1) == [3, 2, 2, 2]
    assert asked(3, 4, 2, 4, 4, 1) == [3, 4, 2, 4, 4]
    assert asked(3, 2, 1, 0, most=3) == [3, 2, 1]
    assert asked(float("inf"), float("inf"), 1, 2, 2, 0) == [float("inf"), float("inf"), 1, 2, 2]


def test_the_gap_is_to_the_model_trained_again_in_all_three_accuracies() -> None:
    """Fails if: what is forgotten too much or kept too well counts for nothing, or earlier requests are left out."""
    again = Left(forget=0.0, earlier=(0.2,), retain=1.0, test=0.5, seconds=0.0, notes={})
    left = replace(again, earlier=(0.8,), retain=0.7, test=0.8)
    assert bench("stream_search").gap(left, again) == pytest.approx(0.3)


def test_digits_are_searched_on_classes_that_no_request_asks_for() -> None:
    """Fails if: a request of the longest stream shares a row with one that settings are searched on."""
    own = bench("stream").digits(8)
    assert [one.name for one in own.unasked] == ["4", "7"]
    asked = {one for request in own.requests for one in request.forget.ids}
    assert not asked & {one for request in own.unasked for one in request.forget.ids}


def test_a_method_that_breaks_in_every_trial_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if the search ends in an error that names neither the method nor what went wrong."""
    module = bench("stream_search")

    def broken(*_: Any) -> Any:
        raise ContractBroken("weights are not finite")

    monkeypatch.setattr(module, "follow", broken)
    on = module.Validation(target=Any, requests=(), again=(), few=1)
    with pytest.raises(InputError, match="no trial of finetune .*weights are not finite"):
        module.search("finetune", on)
