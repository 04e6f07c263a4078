"""Records of planted cases, made from synthetic outcomes with known rates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from expunge.facts.record import (
    Measurement,
    MethodFacts,
    ModelFacts,
    Outcome,
    Record,
    SplitFacts,
    Thresholds,
)
from expunge.facts.score import Score

ROWS = 80
KNOWS = {"direct": 0.98, "relearning": 0.99, "loss": 3.0, "probability": 0.9, "utility": 0.97}
NEVER = {"direct": 0.04, "relearning": 0.06, "loss": 0.0, "probability": 0.1, "utility": 0.97}
"""Rates of success, the shift of member scores, the mean answer probability and the utility of a model."""


class Planted:
    """Build records row by row; every model draws its own rows, with rows of like difficulty across models."""

    def __init__(self, seed: int = 0, *, authors: int = 80) -> None:
        self.generator = np.random.default_rng(seed)
        self.authors = authors
        self.hard = self.generator.random(ROWS)
        self.likely = {split: self.generator.normal(size=ROWS) for split in ("forget", "holdout")}

    def successes(self, rate: float) -> tuple[float, ...]:
        mixed = 0.7 * self.hard + 0.3 * self.generator.random(ROWS)
        return tuple((mixed < np.quantile(mixed, rate)).astype(float).tolist())

    def member(self, shift: float) -> dict[str, tuple[float, ...]]:
        return {
            split: tuple((base + 0.3 * self.generator.normal(size=ROWS) + shift * (split == "forget")).tolist())
            for split, base in self.likely.items()
        }

    def outcomes(self, model: str, rates: Mapping[str, float], *, items: bool = False) -> list[Outcome]:
        item = {"item_control": self.successes(NEVER["direct"])} if items else {}
        direct = Outcome(
            attack="direct questions",
            model=model,
            kind="success",
            step="behavioural",
            forget=self.successes(rates["direct"]),
            **item,
        )
        relearning = Outcome(
            attack="relearning", model=model, kind="success", forget=self.successes(rates["relearning"]), **item
        )
        loss = Outcome(attack="loss", model=model, kind="member", **self.member(rates["loss"]))
        utility = Outcome(
            attack="accuracy",
            model=model,
            kind="success",
            step="utility",
            split="retain",
            forget=tuple(np.repeat(self.successes(rates["utility"]), 4).tolist()),
        )
        return [direct, relearning, loss, utility]

    def probability(self, model: str, mean: float) -> Measurement:
        values = np.clip(mean + 0.05 * (self.hard - 0.5) + 0.01 * self.generator.normal(size=ROWS), 0, 1)
        score = Score(name="probability", value=float(values.mean()), n=ROWS, per_example=tuple(values.tolist()))
        return Measurement(metric="probability", model=model, split="forget", score=score)

    def record(
        self,
        unlearned: Mapping[str, float] | None,
        *,
        target: Mapping[str, float] = KNOWS,
        controls: int = 3,
        control_role: Any = "retrained",
        role: Any = "unlearned",
        items: bool = False,
        method: Mapping[str, Any] | None = None,
        thresholds: Mapping[str, Any] | None = None,
    ) -> Record:
        rates = {"target": target} | ({} if unlearned is None else {"judged": unlearned})
        roles: dict[str, Any] = {"target": "target", "judged": role}
        for i in range(controls):
            rates[f"{control_role}-{i}"], roles[f"{control_role}-{i}"] = NEVER, control_role
        settings = {"battery": ("relearning", "loss"), "indistinguishable_metrics": ("probability",)} | dict(
            thresholds or {}
        )
        groups = tuple(int(i) for i in np.arange(ROWS) * self.authors // ROWS)
        return Record(
            request={"kind": "rows"},
            splits=(
                SplitFacts(name="forget", n=ROWS, groups=groups),
                SplitFacts(name="holdout", n=ROWS, groups=groups),
            ),
            models=tuple(ModelFacts(role=roles[name], name=name, content_digest="0") for name in rates),
            method=MethodFacts(**({"name": "planted", "digest_before": "a", "digest_after": "b"} | dict(method or {}))),
            thresholds=Thresholds(**settings),
            outcomes=tuple(one for name, own in rates.items() for one in self.outcomes(name, own, items=items)),
            measurements=tuple(self.probability(name, own["probability"]) for name, own in rates.items()),
        )

    WIDE = (0.27, 0.3, 0.32, 0.35, 0.38, 0.4, 0.43, 0.45, 0.48, 0.5)
    NARROW = (0.37, 0.38, 0.38, 0.38, 0.38, 0.39, 0.38, 0.38, 0.38, 0.38)
    """Shares that ten retrained models answer: a voice they never heard, and a class."""

    def answering(self, judged: float, controls: Sequence[float], **given: Any) -> Record:
        """Return a record whose direct questions (400) are answered at these rates, all else as by models that never saw the rows.

        The first rows are got right: models differ by the number of rows alone.
        """
        record = self.record(NEVER, controls=len(controls), **given)
        rates = {"target": 0.98, "judged": judged} | {f"retrained-{i}": rate for i, rate in enumerate(controls)}
        asked = [
            Outcome(
                attack="direct questions",
                model=model,
                kind="success",
                step="behavioural",
                forget=tuple((np.arange(400) < round(share * 400)).astype(float).tolist()),
            )
            for model, share in rates.items()
        ]
        kept = [one for one in record.outcomes if one.step != "behavioural"]
        return record.model_copy(update={"outcomes": (*asked, *kept)})

    @staticmethod
    def without(record: Record, **fields: Any) -> Record:
        """Return the record without the outcomes that have all these fields."""
        kept = [one for one in record.outcomes if any(getattr(one, key) != value for key, value in fields.items())]
        return record.model_copy(update={"outcomes": tuple(kept)})

    @staticmethod
    def with_outcome(record: Record, attack: str, model: str, **fields: Any) -> Record:
        """Return the record with fields of one outcome replaced."""
        changed = [
            one.model_copy(update=fields) if one.attack == attack and one.model == model else one
            for one in record.outcomes
        ]
        return record.model_copy(update={"outcomes": tuple(changed)})


@pytest.fixture
def planted() -> Callable[..., Planted]:
    return Planted


@pytest.fixture
def never() -> dict[str, float]:
    """Return the rates of a model that never saw the forget rows."""
    return dict(NEVER)


@pytest.fixture
def knows() -> dict[str, float]:
    """Return the rates of a model that was trained on the forget rows."""
    return dict(KNOWS)
