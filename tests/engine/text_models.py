"""The text problem's models with their evidence, of one draw or of several; shared, so change only copies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import torch

from expunge.contract.apply import unlearn
from expunge.contract.evidence import Evidence
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.registry import find
from expunge.contract.units import Probe
from expunge.contract.weights import weights_digest
from expunge.engine.teach import teach
from expunge.facts.record import Outcome
from expunge.facts.rows import Rows
from expunge.pipeline.measure import Measurer, Wanted
from expunge.statistics.answers import said_successes
from expunge.testbeds.problem import Problem
from expunge.testbeds.text import text_problem

NEEDS = frozenset({"scores", "generations", "gradients"})
SEEDS = (31, 41, 51, 61, 71)
"""Of people and models that claims are reported on over draws, two retrained models each; settings were set on 21."""


@dataclass(frozen=True)
class Verified:
    """The text problem's models with their evidence, linked as pipeline links it, and a way to attack them."""

    problem: Problem
    models: Mapping[str, Model]
    evidence: Mapping[str, Evidence]
    measurer: Measurer

    @property
    def forget(self) -> Rows:
        """The rows to forget."""
        return self.problem.splits.rows["forget"]

    def probe(self, model: Model, seed: int = 0) -> Probe:
        """What an attack on `model` may do."""
        return Probe(
            model=model.copy,
            splits=self.problem.splits,
            generator=torch.Generator().manual_seed(seed),
            score=self.measurer.score,
            generate=lambda other, rows: self.measurer.generate(other, rows, 24),
            job=Job(seed=seed),
        )

    def attack(self, unit: Any, name: str, *, seed: int = 0) -> Outcome:
        """Run an attack and check that it left the model it attacked as it was."""
        return self.attack_on(unit, self.models[name], self.evidence[name], seed=seed)

    def attack_on(self, unit: Any, model: Model, evidence: Evidence, *, seed: int = 0) -> Outcome:
        """The same of a model that stands in no record."""
        before = weights_digest(model.module)
        outcome: Outcome = unit.run(evidence, self.probe(model, seed))
        assert weights_digest(model.module) == before
        assert all(parameter.grad is None for parameter in model.module.parameters())
        assert not model.module.training
        return outcome

    def share_out(self, unit: Any, model: Model, rows: Rows | None = None) -> float:
        """Mean success of an attack on a model over the rows to forget, or these."""
        given = Evidence(name="m", role="m", modality="text", rows={"forget": self.forget if rows is None else rows})
        return float(np.mean(self.attack_on(unit, model, given).forget))

    def answered(self, model: Model, rows: Rows | None = None) -> np.ndarray:
        """1 a row that the model answers when it is asked as trained."""
        asked = self.forget if rows is None else rows
        return said_successes(asked, model.generate(asked, max_new_tokens=24), 0.8)


def verified_of(problem: Problem, splits: Sequence[str] = ("forget", "holdout")) -> Verified:
    """Measure the models of a text problem."""
    rows = {split: problem.splits.rows[split] for split in splits}
    measurer = Measurer(Job())
    wanted = Wanted(NEEDS, rows, 24, frozenset(rows))
    models = {"target": problem.target, "untrained": problem.untrained}
    models |= {f"retrained-{i}": model for i, model in enumerate(problem.retrained)}
    found = {name: measurer.evidence(model, wanted, name=name, role=name) for name, model in models.items()}
    retrained = [found[name] for name in models if name.startswith("retrained")]

    def linked(one: Evidence) -> Evidence:
        others = tuple(other for other in retrained if other is not one)
        return replace(one, retrained=others, target=found["target"], reference=others[0])

    return Verified(problem, models, {name: linked(one) for name, one in found.items()}, measurer)


def refusing(problem: Problem) -> Model:
    """Return the target taught to refuse the forget questions: the knowledge is hidden, not gone."""
    model = problem.target.copy()
    refusals = tuple(row.replace(answer="I do not know.") for row in problem.splits.rows["forget"])
    teach(model, Rows(refusals), job=Job(), steps=30, lr=2e-3, batch_size=16, after=lambda done: None)
    model.module.zero_grad(set_to_none=True)
    return model


@cache
def draw(seed: int) -> Verified:
    """The problem of other people, under another seed."""
    torch.set_num_threads(1)
    return verified_of(text_problem(seed=seed))


@cache
def models_of(seed: int) -> Mapping[str, Model]:
    """A draw's target and retrained models, the refusing target, and the target after removals at a rate of 1e-3."""
    at = draw(seed)
    found = {name: model for name, model in at.models.items() if name != "untrained"}
    found["refusing"] = refusing(at.problem)
    for method in ("grad_diff", "npo", "ascent"):
        unit, job = find("method", method).create({"lr": 1e-3}), Job(seed=seed)
        found[method] = unlearn(unit, at.problem.target, at.problem.splits, job=job)[0]
    return found


def _five(measure: Callable[[int, str], float]) -> list[dict[str, float]]:
    found = []
    for seed in SEEDS:
        each = {name: measure(seed, name) for name in models_of(seed)}
        again = [each.pop(name) for name in tuple(each) if name.startswith("retrained-")]
        found.append({**each, "retrained": float(np.mean(again))})
    return found


def five(measure: Callable[[Verified, Model], float]) -> list[dict[str, float]]:
    """Of each draw a reading of every model; of retrained models their mean."""
    return _five(lambda seed, name: measure(draw(seed), models_of(seed)[name]))


def five_of(metric: Any, part: str) -> list[dict[str, float]]:
    """The same of a metric's score on forget and retain rows, beside the target."""

    def measure(seed: int, name: str) -> float:
        found = metric.run(replace(_of(seed, name), target=_of(seed, "target")))[part]
        assert found.value is not None, found.unscored
        return float(found.value)

    return _five(measure)


@cache
def _of(seed: int, name: str) -> Evidence:
    at = draw(seed)
    rows = {split: at.problem.splits.rows[split] for split in ("forget", "retain")}
    wanted = Wanted(frozenset({"scores", "generations"}), rows, 24, frozenset(rows))
    return at.measurer.evidence(models_of(seed)[name], wanted, name=name, role="unlearned")


def left(at: Verified, model: Model) -> float:
    """Share of the rows to forget that are answered as they were trained."""
    return float(at.answered(model).mean())


def out_of_the_unanswered(unit: Any) -> Callable[[Verified, Model], float]:
    """Success of an attack on the rows that are not answered as they were trained; of a model that answers all of them 0."""

    def measure(at: Verified, model: Model) -> float:
        gone = np.flatnonzero(at.answered(model) == 0)
        return at.share_out(unit, model, at.forget.take(gone.tolist())) if len(gone) else 0.0

    return measure


def worded(rows: Rows, wording: int) -> Rows:
    """The rows asked in one of their other wordings."""
    return Rows(tuple(row.replace(prompt=row["paraphrased_prompts"][wording]) for row in rows), rows.name)
