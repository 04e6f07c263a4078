"""Run a battery's attacks on one model; what was done to the same weights before is read from the cache."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch

from expunge.contract.apply import undisturbed
from expunge.contract.evidence import Evidence
from expunge.contract.model import Model
from expunge.contract.registry import settings_of
from expunge.contract.splits import Splits
from expunge.contract.units import Probe
from expunge.contract.weights import weights_digest
from expunge.facts.digest import canonical_json, read_json, sha256
from expunge.facts.errors import ContractBroken
from expunge.facts.record import Outcome
from expunge.facts.rows import Rows
from expunge.pipeline.battery import Battery
from expunge.pipeline.measure import Measurer
from expunge.pipeline.processes import copied
from expunge.pipeline.progress import Bars
from expunge.pipeline.subjects import Subject
from expunge.statistics.position_scores import PositionScores


@dataclass
class Attacker:
    """Runs every attack of a battery, on copies; controls that several records share are attacked once.

    Units that need the `target` are handed copies of it.
    """

    battery: Battery
    measurer: Measurer
    splits: Splits
    seed: int
    max_new_tokens: int
    progress: Bars
    target: Model | None = None
    digests: dict[int, Any] = field(default_factory=dict)
    """Digests of rows and of evidence by object: made once a verification, where every model is asked the same."""

    def attack(self, model: Model, evidence: Evidence, subject: Subject) -> Iterator[Outcome]:
        """Yield the outcome of every attack that fits: behind a guard those that need likelihoods do not."""
        for name, unit in self.battery.attacks:
            if subject.guarded is not None and {"scores", "predictions"} & set(unit.about.needs):
                continue
            self.progress.stage = f"{name} on {subject.name}"
            key = self._key(name, unit, model, evidence) if subject.guarded is None else ""
            known = self.measurer.cache.get(key) if key else None
            if known is not None:
                yield Outcome.model_validate(read_json(known)).model_copy(update={"model": subject.name})
                continue
            outcome = self._run(name, unit, model, evidence)
            if key:
                self.measurer.cache.put(key, canonical_json(outcome.model_dump(mode="python")))
            yield outcome

    def _run(self, name: str, unit: Any, model: Model, evidence: Evidence) -> Outcome:
        target = self._target(unit)
        job = replace(self.measurer.job, seed=self.seed, generator=torch.Generator(), notes={})
        probe = Probe(
            model=partial(copied, model),
            splits=self.splits.restricted(unit.about.needs),
            generator=job.generator,
            score=self.measurer.score,
            generate=lambda other, rows: self.measurer.generate(other, rows, self.max_new_tokens),
            job=job,
            target=None if target is None else partial(copied, target),
        )
        before = weights_digest(model.module) if "model" in unit.about.needs else ""
        started = time.perf_counter()
        with undisturbed(self.seed):
            outcome: Outcome = unit.run(evidence, probe)
        if before and weights_digest(model.module) != before:
            raise ContractBroken(f"the attack {name} changed the model it attacked")
        cost = {"s": time.perf_counter() - started}
        return outcome.model_copy(
            update={"attack": name, "model": evidence.name, "step": unit.about.step, "cost": cost}
        )

    def _target(self, unit: Any) -> Model | None:
        return self.target if "target" in unit.about.needs else None

    def _key(self, name: str, unit: Any, model: Model, evidence: Evidence) -> str:
        """Everything an outcome depends on: the unit, the weights, the rows, and the other models' evidence by content."""
        beside, target = self._beside(evidence, frozenset(unit.about.reads)), self._target(unit)
        if target is not None:
            beside.append(weights_digest(target.module))
        recipe = self.measurer.job.recipe if "recipe" in unit.about.needs else None
        rows = {
            split: self._digest(found, partial(_of_rows, found))
            for split, found in {**self.splits.rows, **evidence.rows}.items()
        }
        return sha256(
            canonical_json(
                [
                    "outcome",
                    name,
                    settings_of(unit),
                    weights_digest(model.module),
                    rows,
                    beside,
                    recipe.model_dump(mode="json") if recipe else None,
                    self.seed,
                    self.max_new_tokens,
                ]
            )
        )

    def _digest(self, of: object, make: Callable[[], Any]) -> Any:
        kept = self.digests.get(id(of))
        if kept is None:
            kept = self.digests[id(of)] = (of, make())  # the object is kept too, so that no other takes its id
        return kept[1]

    def _beside(self, evidence: Evidence, reads: frozenset[str]) -> list[Any]:
        """Return digests of the other models' evidence that a unit which `reads` these may read."""
        compared = reads & {"retrained", "target", "shadows"}
        others = [evidence.reference, evidence.target, *evidence.retrained] if compared else []
        found: list[Any] = [self._scored(other) for other in others if other is not None]
        if "shadows" in reads:
            for kind, shadows in sorted(evidence.shadows.items()):
                found.append([kind, [[self._scored(one), list(one.rows["members"].ids)] for one in shadows]])
        return found

    def _scored(self, evidence: Evidence) -> list[str]:
        return [self._digest(scores, partial(_of_scores, scores)) for scores in evidence.scores.values()]


def _of_rows(rows: Rows) -> str:
    """Return a digest of the rows and of who they belong to, which attacks choose rows by and no row's content holds."""
    return sha256(canonical_json([rows.digest(), list(rows.groups)]))


def _of_scores(scores: PositionScores) -> str:
    return sha256(scores.save())
