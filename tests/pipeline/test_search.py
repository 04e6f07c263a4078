"""The budget and what is searched within it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from expunge.contract.job import Remembering
from expunge.contract.registry import find, settings_of, units
from expunge.contract.splits import Splits
from expunge.facts.errors import InputError
from expunge.facts.rows import Row, Rows
from expunge.pipeline import search as module
from expunge.pipeline.plan import MethodPlan, Plan, check_plan
from expunge.pipeline.search import FIXED, Budget, Search, chosen, draw, ranges
from expunge.pipeline.tune import Tuner
from expunge.pipeline.validation import Validation


def rows(name: str, n: int) -> Rows:
    return Rows(tuple(Row(id=f"{name}{i}", fields={"features": [float(i), len(name)], "label": 0}) for i in range(n)))


VALIDATION = Validation(Splits.of(forget=rows("f", 10), retain=rows("kept", 50)), rows("kept", 50), Rows(()), 0, 10)
PLAN: dict[str, Any] = {
    "request": {"source": "digits"},
    "model": {"architecture": "cnn"},
    "recipe": {"epochs": 1},
    "method": [{"name": "npo", "seeds": [0, 7]}, {"name": "npo", "locator": "saliency"}, {"name": "finetune"}],
    "seeds": {"target": 3, "retrained": [101, 102], "verify": 5},
}


def plan() -> Plan:
    return check_plan(PLAN)


@pytest.mark.parametrize("seed", [3, 2, 5, 101, 102, 7, 0, -93])
def test_reported_seeds_are_refused(seed: int) -> None:
    """Target 3 (as the retrained model of 2), verify 5, retrained 101 and 102, methods 0 and 7 (also by 100 + -93).

    Fails if any of them may be tuned on.
    """
    with pytest.raises(InputError, match="are those that the plan reports under"):
        Budget(seed=seed).check_against(plan())
    Budget(seed=500).check_against(plan())


@pytest.mark.parametrize("name", ["trials", "steps", "batch_size", "patience", "retrained", "seeds"])
def test_an_empty_budget_is_refused(name: str) -> None:
    """Fails if a search of nothing starts."""
    with pytest.raises(InputError, match="at least 1"):
        Budget(**{name: 0})


@pytest.mark.parametrize("unit", list(units("method").values()), ids=lambda unit: unit.name)
def test_every_units_search_is_of_settings_that_it_has(unit: Any) -> None:
    """And holds the default. Fails if a range names no setting, or a unit's default lies outside what is searched."""
    settings = settings_of(unit.create({}))
    for name, (kind, *ends) in unit.about.search.items():
        assert name not in FIXED
        value = settings[name]
        assert value in ends if kind == "choice" else ends[0] <= value <= ends[1]


def test_without_a_search_of_its_own_the_rate_is_searched() -> None:
    """A decade to either side of the plan's rate. Fails if a unit without a declared search is left at its default."""
    listing = find("method", "npo")
    bare = type(listing)(
        **{**listing.__dict__, "about": type(listing.about)(**{**listing.about.__dict__, "search": {}})}
    )
    assert ranges(bare, {"lr": 1e-3, "beta": 0.1}) == {"lr": ("log", pytest.approx(1e-4), pytest.approx(1e-2))}
    odd = {"lr": ("log", 1e-4, 1e-2), "bta": ("log", 0.1, 1.0), "epochs": ("int", 1, 9)}
    listed = type(listing)(
        **{**listing.__dict__, "about": type(listing.about)(**{**listing.about.__dict__, "search": odd})}
    )
    with pytest.raises(InputError, match="searches 'bta', which it has not; the nearest is 'beta'"):
        ranges(listed, {"lr": 1e-3, "beta": 0.1})
    assert set(ranges(listed, {"lr": 1e-3, "bta": 0.1, "epochs": 2})) == {"lr", "bta"}


def test_passes_are_as_many_as_the_steps_need() -> None:
    """10 forget rows at 4 a step: 3 steps a pass, so 7 steps take 3 passes; 50 retain rows: 13 a pass, one pass.

    Fails if a method that passes over retain rows gets the passes of one that passes over forget, or its own batch size.
    """
    budget = Budget(steps=7, batch_size=4)
    npo = Search(MethodPlan(name="npo", settings={"epochs": 99, "batch_size": 99, "beta": 0.5}), budget, VALIDATION)
    assert npo.settings({"lr": 0.5}) == {"epochs": 3, "batch_size": 4, "max_steps": 7, "beta": 0.5, "lr": 0.5}
    finetune = Search(MethodPlan(name="finetune"), budget, VALIDATION)
    assert finetune.settings({}) == {"epochs": 1, "batch_size": 4, "max_steps": 7}
    assert Search(MethodPlan(name="ssd"), budget, VALIDATION).settings({"alpha": 2.0}) == {"alpha": 2.0}


@pytest.mark.parametrize(("asked", "npo", "finetune"), [(4, 7, 1), (10, 3, 1), (40, 3, 1)])
def test_passes_are_enough_on_the_plans_request_too(asked: int, npo: int, finetune: int) -> None:
    """7 steps are 7 passes over a plan's 4 forget rows at 4 a step, where the search's own 10 rows need 3.

    Fails if: a plan that forgets fewer rows than the search runs fewer steps than a trial, or a larger one changes the trials' passes.
    """
    rows = replace(VALIDATION, asked=asked)
    for name, epochs in (("npo", npo), ("finetune", finetune)):
        found = Search(MethodPlan(name=name), Budget(steps=7, batch_size=4), rows).settings({})
        assert (found["epochs"], found["max_steps"]) == (epochs, 7)


def test_a_method_of_stages_keeps_them() -> None:
    """Fails if passes are counted over the forget rows (7 and 34): the first alone would fill the steps, or unsir impair 7 times a repair."""
    for steps in (20, 100):
        for name, epochs in (("scrub", 5), ("unsir", 1), ("laf", 10)):
            found = Search(MethodPlan(name=name), Budget(steps=steps, batch_size=4), VALIDATION).settings({})
            assert (found["epochs"], found["max_steps"]) == (epochs, steps)


@pytest.mark.parametrize("name", ["retrain", "sisa"])
def test_what_has_nothing_to_search_is_refused(name: str) -> None:
    """Fails if a method without settings is given trials."""
    with pytest.raises(InputError, match=f"{name} has nothing to search"):
        Search(MethodPlan(name=name), Budget(), VALIDATION)


def test_the_first_trial_is_the_settings_as_they_are() -> None:
    """A setting outside the range is brought to its edge. Fails if the search cannot show that it gained anything."""
    space = find("method", "npo").about.search
    one = Search(MethodPlan(name="npo", settings={"beta": 1e9}), Budget(), VALIDATION)
    start = settings_of(find("method", "npo").create({}))
    first = draw(one.study.ask(), one.space)
    assert first == {**{name: start[name] for name in space}, "beta": space["beta"][2]}
    again = Search(MethodPlan(name="npo"), Budget(), VALIDATION)
    assert draw(again.study.ask(), {"skip": ("choice", 0, 1), "n": ("int", 2, 2)}).keys() == {"skip", "n"}


def test_methods_by_label() -> None:
    """Fails if one of two entries of a method cannot be named, or a misspelt label is passed over."""
    assert [method.label for method in chosen(plan(), None)] == ["npo", "npo+saliency", "finetune"]
    assert [method.label for method in chosen(plan(), ["finetune", "npo+saliency"])] == ["finetune", "npo+saliency"]
    with pytest.raises(InputError, match="no method 'fine'; the nearest is 'finetune'"):
        chosen(plan(), ["fine"])


class Pieces:
    """A run's pieces in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def has(self, name: str) -> bool:
        return name in self.kept

    def finish(self, name: str, data: bytes) -> None:
        assert name not in self.kept
        self.kept[name] = data

    def piece(self, name: str) -> bytes:
        return self.kept[name]


def tuner(monkeypatch: pytest.MonkeyPatch, budget: Budget, values: dict[str, list[float]], run: Any = None) -> Tuner:
    """A tuner whose trials give the values listed, method by method."""
    taken = {name: iter(given) for name, given in values.items()}

    def scripted(self: Tuner, search: Search, drawn: Any) -> dict[str, Any]:
        return {"objective": next(taken[search.method.name]), "steps": 7}

    monkeypatch.setattr(Tuner, "_try", scripted)
    return Tuner(budget, VALIDATION, lambda _: (None, None), run or Pieces(), Remembering(), module_progress())  # type: ignore[arg-type]


def module_progress() -> Any:
    from expunge.pipeline.progress import Bars

    return Bars(quiet=True)


def searches(budget: Budget, *names: str) -> list[Search]:
    return [Search(MethodPlan(name=name), budget, VALIDATION) for name in names]


def test_the_stop_rule_and_equal_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    """npo improves in rounds 1 and 3, finetune in round 1: with a patience of 2 rounds it ends after round 5, five trials each.

    Fails if a gain below the tolerance (round 4) counts, one method's gain does not keep the other's search going, or trials differ.
    """
    budget = Budget(trials=9, patience=2, tolerance=0.01)
    values = {"npo": [0.5, 0.5, 0.4, 0.395, 0.6], "finetune": [0.3, 0.4, 0.4, 0.4, 0.4]}
    both = searches(budget, "npo", "finetune")
    said = tuner(monkeypatch, budget, values).rounds(both)
    assert said == "no method improved by 0.01 in 2 rounds, after 5"
    assert [[trial["objective"] for trial in one.trials] for one in both] == [values["npo"], values["finetune"]]
    assert [one.best["number"] for one in both] == [3, 0]


def test_all_trials_are_made_where_gains_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a trial more or fewer than asked for is made."""
    budget = Budget(trials=3, patience=2)
    (one,) = searches(budget, "npo")
    assert tuner(monkeypatch, budget, {"npo": [0.5, 0.4, 0.3]}).rounds([one]) == "all 3 trials were made"
    assert len(one.trials) == 3
    assert len({tuple(trial["settings"].values()) for trial in one.trials}) == 3


def test_a_search_goes_on_where_it_was_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Finished trials are read, and the fourth asks for what an unbroken search asks for.

    Fails if a trial is made twice, or the study does not hear of those read.
    """
    budget, run, values = Budget(trials=4, patience=9), Pieces(), [0.5, 0.4, 0.3, 0.2]
    (first,) = searches(budget, "npo")
    short = Budget(trials=3, patience=9)
    tuner(monkeypatch, short, {"npo": values[:3]}, run).rounds([first])
    (second,) = searches(budget, "npo")
    tuner(monkeypatch, budget, {"npo": values[3:]}, run).rounds([second])
    (whole,) = searches(budget, "npo")
    tuner(monkeypatch, budget, {"npo": values}).rounds([whole])
    assert second.trials == whole.trials
    assert module.FIXED == ("epochs", "batch_size", "max_steps")


def test_a_plan_file_with_every_method_is_searched_by_its_seed(tmp_path: Path) -> None:
    """Fails if two searches under one seed ask for different settings, or another seed for the same."""
    asked = []
    for seed in (1, 1, 2):
        (one,) = searches(Budget(seed=seed), "npo")
        asked.append([])
        for value in (0.5, 0.4, 0.6):
            trial = one.study.ask()
            asked[-1].append(draw(trial, one.space))
            one.study.tell(trial, value)
    assert asked[0] == asked[1]
    assert asked[0][1:] != asked[2][1:]
