"""Attacks run on copies, under their own seed, and once for the same weights and rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from meta_problems import Problem, people

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.contract.job import Job
from expunge.contract.units import Probe
from expunge.facts.errors import ContractBroken
from expunge.facts.record import Outcome
from expunge.facts.rows import Rows
from expunge.pipeline.attacking import Attacker
from expunge.pipeline.battery import Battery
from expunge.pipeline.cache import RequestCache
from expunge.pipeline.measure import Measurer
from expunge.pipeline.progress import Bars
from expunge.pipeline.subjects import Subject
from expunge.statistics.position_scores import PositionScores
from expunge.store.store import Store

CALLS: list[int] = []


@dataclass(frozen=True, kw_only=True)
class Spy:
    """An attack that draws a number, and touches what it is told to."""

    about = About(
        needs=("forget", "model"),
        modalities=("text",),
        claim="It draws a number.",
        paper="none",
        link="https://example.org",
        year=2026,
    )
    shift: float = 0.0
    touches: bool = False

    def run(self, evidence: Evidence, probe: Probe) -> Outcome:
        CALLS.append(1)
        model = probe.model()
        next(model.module.parameters()).data.add_(1.0)
        if self.touches:
            next(people().target.module.parameters()).data.add_(1.0)
        drawn = float(torch.rand(1, generator=probe.generator)) + float(torch.rand(1)) + self.shift
        return Outcome(attack="", model="", kind="success", forget=(min(1.0, drawn / 3),))


@dataclass(frozen=True, kw_only=True)
class Shadowed(Spy):
    """An attack that compares with shadow models."""

    about = replace(Spy.about, needs=("forget", "model", "shadows"))


@dataclass(frozen=True, kw_only=True)
class Taking(Spy):
    """An attack that compares with shadow models where there are any."""

    about = replace(Spy.about, takes=("shadows",))


@dataclass(frozen=True, kw_only=True)
class Patching(Spy):
    """An attack that reads the target's weights."""

    about = replace(Spy.about, needs=("forget", "model", "target"))

    def run(self, evidence: Evidence, probe: Probe) -> Outcome:
        CALLS.append(1)
        assert probe.target is not None
        weights = next(probe.target().module.parameters()).data
        weights.add_(1.0)
        return Outcome(attack="", model="", kind="success", forget=(float(weights[0, 0] == 2.0),))


def one_pass(rows: Rows, log_prob: float) -> PositionScores:
    """One token an answer, all alike."""
    n = len(rows)
    return PositionScores(
        keys=tuple((row.id, "answer") for row in rows),
        offsets=np.arange(n + 1, dtype=np.int64),
        log_prob=np.full(n, log_prob),
        mean=np.full(n, -2.0),
        variance=np.ones(n),
        rank=np.zeros(n, np.int64),
        is_end=np.zeros(n, bool),
    )


@pytest.fixture
def problem() -> Iterator[Problem]:
    found = people()
    before = {name: tensor.clone() for name, tensor in found.target.module.state_dict().items()}
    yield found
    found.target.module.load_state_dict(before)


def attacker(
    unit: Any, problem: Problem, store: Store | None = None, *, seed: int = 0, rows: slice = slice(None)
) -> Attacker:
    splits = type(problem.splits)({**problem.splits.rows, "forget": problem.splits.rows["forget"][rows]})
    measurer = Measurer(Job(), RequestCache(store.cache, "r")) if store is not None else Measurer(Job())
    return Attacker(Battery((), (("spy", unit),)), measurer, splits, seed, 4, Bars(quiet=True))


def outcome(unit: Any, problem: Problem, name: str = "target", **given: Any) -> Outcome:
    running = attacker(unit, problem, **given)
    evidence = Evidence(name=name, role="target", modality="text", rows=running.splits.rows)
    (found,) = running.attack(problem.target, evidence, Subject.held(problem.target, name, "target"))
    return found


def test_an_attack_works_on_a_copy(problem: Problem) -> None:
    """Fails if the attacked model is handed out itself: what follows would be measured on attacked weights."""
    before = {name: tensor.clone() for name, tensor in problem.target.module.state_dict().items()}
    outcome(Spy(), problem)
    assert all(torch.equal(before[name], tensor) for name, tensor in problem.target.module.state_dict().items())


def test_an_attack_that_changes_the_model_is_caught(problem: Problem) -> None:
    """Fails if the digest is not taken before and after."""
    with pytest.raises(ContractBroken, match="the attack spy changed the model"):
        outcome(Spy(touches=True), problem)


def test_the_seed_is_all_the_randomness_there_is(problem: Problem) -> None:
    """Fails if an attack's draws hang on what ran before it: a resumed run would give another record."""
    first = outcome(Spy(), problem)
    torch.rand(7)
    assert outcome(Spy(), problem).forget == first.forget
    assert outcome(Spy(), problem, seed=1).forget != first.forget
    state = torch.random.get_rng_state()
    outcome(Spy(), problem)
    assert torch.equal(state, torch.random.get_rng_state())


def test_the_same_attack_on_the_same_weights_runs_once(problem: Problem, tmp_path: Path) -> None:
    """Fails if rows, seed, settings or weights are missing from the key, or the cached outcome keeps another record's name."""
    spy = Spy()
    CALLS.clear()
    with Store.open(tmp_path / "store") as store:
        first = outcome(spy, problem, store=store)
        again = outcome(spy, problem, "retrained-0", store=store)
        assert len(CALLS) == 1
        assert (first.model, again.model) == ("target", "retrained-0")
        assert first.forget == again.forget
        outcome(spy, problem, store=store, seed=1)
        outcome(spy, problem, store=store, rows=slice(5))
        assert len(CALLS) == 3
        outcome(Spy(shift=0.5), problem, store=store)
        assert len(CALLS) == 4
        next(problem.target.module.parameters()).data[0, 0] += 1.0
        outcome(spy, problem, store=store)
        assert len(CALLS) == 5


def test_who_rows_belong_to_is_part_of_the_key(problem: Problem, tmp_path: Path) -> None:
    """The attack that relearns unrelated rows leaves those of the forget groups out. Fails if an outcome found under other groups is
    read back: no row's content holds its group."""
    CALLS.clear()
    forget = Rows(tuple(replace(row, group="one author") for row in problem.splits.rows["forget"]))
    other = replace(problem, splits=type(problem.splits)({**problem.splits.rows, "forget": forget}))
    with Store.open(tmp_path / "store") as store:
        outcome(Spy(), problem, store=store)
        outcome(Spy(), other, store=store)
        assert len(CALLS) == 2


@pytest.mark.parametrize("spy", [Shadowed(), Taking()])
def test_shadow_models_are_part_of_the_key(spy: Spy, problem: Problem, tmp_path: Path) -> None:
    """Fails if an outcome found beside other shadow models, or other memberships of the same ones, is read back."""
    rows = problem.splits.rows["forget"]
    CALLS.clear()

    def ask(store: Store, *members: slice, log_prob: float = -1.0) -> int:
        running = attacker(spy, problem, store)
        scores = {"forget": one_pass(rows, log_prob)}
        shadows = tuple(Evidence(name="s", role="shadow", modality="text", rows={"members": rows[part]}, scores=scores)
                        for part in members)  # fmt: skip
        evidence = Evidence(
            name="target", role="target", modality="text", rows=running.splits.rows, shadows={"halves": shadows}
        )
        list(running.attack(problem.target, evidence, Subject.held(problem.target, "target", "target")))
        return len(CALLS)

    with Store.open(tmp_path / "store") as store:
        assert ask(store, slice(3), slice(3, 6)) == 1
        assert ask(store, slice(3), slice(3, 6)) == 1
        assert ask(store, slice(3), slice(2, 5)) == 2
        assert ask(store, slice(3), slice(3, 6), log_prob=-2.0) == 3
        assert ask(store) == 4


def test_the_target_is_handed_out_as_a_copy_and_is_part_of_the_key(problem: Problem, tmp_path: Path) -> None:
    """Fails if an outcome found with another target is read back, the target itself is changed, or a unit gets it unasked."""
    CALLS.clear()
    other = problem.target.copy()
    next(other.module.parameters()).data[0, 0] = 1.0
    before = {name: tensor.clone() for name, tensor in other.module.state_dict().items()}

    def ask(unit: Any, target: Any, store: Store) -> float:
        running = attacker(unit, problem, store)
        running.target = target
        evidence = Evidence(name="u", role="unlearned", modality="text", rows=running.splits.rows)
        (found,) = running.attack(problem.target, evidence, Subject.held(problem.target, "u", "unlearned"))
        return found.forget[0]

    with Store.open(tmp_path / "store") as store:
        assert ask(Patching(), problem.target, store) == 0.0
        assert ask(Patching(), problem.target, store) == 0.0
        assert len(CALLS) == 1
        assert ask(Patching(), other, store) == 1.0
        assert len(CALLS) == 2
        ask(Spy(), problem.target, store)
        ask(Spy(), other, store)
        assert len(CALLS) == 3
    assert all(torch.equal(before[name], tensor) for name, tensor in other.module.state_dict().items())
