"""LUME's aggregates by hand, and why they are no headline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from expunge.facts.rows import Row
from expunge.metrics.lume_aggregate import LumeAggregate

WORDS = "one two three four five six seven eight nine ten"
TRUTH = {"completion": WORDS, "question": "Roz"}


@pytest.fixture
def model(scores: Callable[..., Any], evidence: Callable[..., Any]) -> Callable[..., Any]:
    """A model by what it says: of each split and kind, how many of ten words, or of ten documents' questions, come out."""

    def make(said: dict[tuple[str, str], int], likely: tuple[float, float] = (0.0, 0.0), n: int = 10) -> Any:
        rows, passed, texts = {}, {}, {}
        draw = np.random.default_rng(0)
        for split in ("forget", "retain", "holdout", "test"):
            found, logs, out = [], {}, []
            up = likely[0] if split == "forget" else likely[1]
            for task in ("Task1", "Task2"):
                for i in range(n):
                    for kind, answer in TRUTH.items():
                        name = f"{split}{task}{i}{kind}"
                        fields = {"subtask": task, "kind": kind, "answer": answer}
                        found.append(Row(id=name, fields=fields, group=f"{split}{task}{i}"))
                        logs[name, "answer"] = [up - 5 + 0.1 * draw.normal()]
                        count = said.get((f"{split}/{task}", kind), said.get((split, kind), 0))
                        out.append(
                            " ".join(WORDS.split()[:count])
                            if kind == "completion"
                            else ("Roz" if i < count else "nobody")
                        )
            rows[split], passed[split], texts[split] = found, scores(logs), out
        return evidence(rows, scores=passed, generations=texts)

    return make


KEPT = {("retain", "completion"): 10, ("retain", "question"): 10, ("test", "question"): 9}


def test_by_hand(model: Callable[..., Any]) -> None:
    """Cells a task: 1 - .2, 1 - .4, 1, 1; members 3 nats likelier than others: AUC 1, score 0; utility .9.

    Fails if another mean is taken, forget scores are not inverted, or a part of the final score is left out.
    """
    made = model({**KEPT, ("forget", "completion"): 2, ("forget", "question"): 4}, likely=(3.0, 0.0))
    found = LumeAggregate().run(made)
    harmonic = 8 / (2 * (1 / 0.8 + 1 / 0.6 + 1 + 1))
    assert found["task_aggregate"].value == pytest.approx(harmonic)
    assert found["task_mean"].value == pytest.approx((0.8 + 0.6 + 1 + 1) / 4)
    assert found["final"].value == pytest.approx((harmonic + 0 + 0.9) / 3)
    for score in found.values():
        assert score.low < score.value < score.high
        assert score.ideal == "as_control"


def test_one_zero_makes_the_harmonic_mean_zero(model: Callable[..., Any]) -> None:
    """A model that forgot all but the questions of one task has the task aggregate of one that forgot nothing: 0.

    Fails if a zero is left out of the mean or raised to something small.
    """
    nothing = {("forget", "completion"): 10, ("forget", "question"): 10}
    most = {("forget/Task2", "question"): 10}
    found = [LumeAggregate().run(model({**KEPT, **said})) for said in (nothing, most)]
    assert [one["task_aggregate"].value for one in found] == [0.0, 0.0]
    assert [one["task_mean"].value for one in found] == pytest.approx([0.5, 7 / 8])
    assert found[1]["task_aggregate"].high == 0.0


def test_a_model_that_says_nothing_passes_a_retrained_one(model: Callable[..., Any]) -> None:
    """The reason why it is no headline: a retrained model says the phrases that documents share, silence says none.

    Fails if the aggregate puts the retrained model first, which would make this page wrong.
    """
    retrained = LumeAggregate().run(model({**KEPT, ("forget", "completion"): 3}))
    silent = LumeAggregate().run(model(KEPT))
    assert silent["task_aggregate"].value == pytest.approx(1.0)
    assert retrained["task_aggregate"].value == pytest.approx(8 / (2 * (1 / 0.7 + 3)))
    assert silent["final"].value > retrained["final"].value


def test_parts_that_cannot_be_had(model: Callable[..., Any]) -> None:
    """Fails if a final score is made of the parts that happen to be there, or the task aggregate falls with them."""
    made = model(KEPT)
    rows = {**made.rows, "holdout": made.rows["holdout"].take([])}
    object.__setattr__(made, "rows", rows)
    found = LumeAggregate().run(made)
    assert found["final"].unscored == "no holdout row is a completion"
    assert found["task_aggregate"].value == pytest.approx(1.0)
    object.__setattr__(made, "rows", {**rows, "retain": rows["retain"].take([])})
    assert LumeAggregate().run(made)["task_aggregate"].unscored == "no retain row of Task1 is a completion"
