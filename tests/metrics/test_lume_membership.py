"""LUME's membership score by hand and in plain loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from expunge.facts.rows import Row
from expunge.metrics.lume_membership import LumeMembership


@pytest.fixture
def model(scores: Callable[..., Any], evidence: Callable[..., Any]) -> Callable[..., Any]:
    """A model by mean log p a token of its forget and holdout completions; each document has a question that says the contrary."""

    def make(forget: list[float], holdout: list[float]) -> Any:
        rows, passed = {}, {}
        for split, values in (("forget", forget), ("holdout", holdout)):
            found, logs = [], {}
            for i, value in enumerate(values):
                for kind, log in (("completion", [value - 0.5, value + 0.5, value]), ("question", [-value])):
                    name = f"{split}{i}-{kind}"
                    fields = {"subtask": "Task1", "kind": kind, "answer": "x"}
                    found.append(Row(id=name, fields=fields, group=f"{split}{i}"))
                    logs[name, "answer"] = log if kind == "completion" else [-9.0 - value]
            rows[split] = found
            passed |= {split: scores(logs)} if logs else {}
        return evidence(rows, scores=passed)

    return make


def test_by_hand(model: Callable[..., Any]) -> None:
    """5 of 6 pairs, a tie among them: AUC 0.75, score 0.5.  Fails if questions count, the sign is turned, or a tie counts in full."""
    found = LumeMembership().run(model([-1.0, -3.0], [-3.0, -3.0, -4.0]))
    assert found["forget/auc"].value == pytest.approx((3 + 0.5 + 0.5 + 1) / 6)
    assert found["forget"].value == pytest.approx(1 - 2 * (5 / 6 - 0.5))
    assert (found["forget"].n, found["forget"].ideal) == (2, "as_control")


def test_overshooting_is_as_bad_as_knowing(model: Callable[..., Any]) -> None:
    """Fails if a model to which forget documents are less likely than unseen ones scores above 0."""
    unseen = np.linspace(-3, -2, 12).tolist()
    knows, over, same = (LumeMembership().run(model(f, unseen)) for f in ([-1.0] * 12, [-9.0] * 12, unseen))
    assert [round(one["forget/auc"].value, 6) for one in (knows, over, same)] == [1.0, 0.0, 0.5]
    assert [round(one["forget"].value, 6) for one in (knows, over, same)] == [0.0, 0.0, 1.0]
    assert same["forget"].high == 1.0
    assert 0.3 < same["forget"].low < 0.9
    assert knows["forget"].high == pytest.approx(1 - 2 * (knows["forget/auc"].low - 0.5))
    assert 0.0 < knows["forget"].high < 1.0


def test_no_number_without_non_members(model: Callable[..., Any]) -> None:
    """Fails if 0.5 stands in for an AUC that cannot be had."""
    found = LumeMembership().run(model([-1.0, -2.0], []))
    assert found["forget"].unscored == "no holdout row is a completion"
    assert list(found) == ["forget"]
