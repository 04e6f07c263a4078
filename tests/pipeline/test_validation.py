"""The request that settings are tuned on: like the plan's, and made of none of its rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from expunge.contract.job import Job
from expunge.contract.splits import Splits
from expunge.facts.errors import InputError
from expunge.facts.rows import Row, Rows
from expunge.modalities.array_tasks import Classification
from expunge.modalities.tabular import Features, tabular_model
from expunge.pipeline.given import Given
from expunge.pipeline.validation import Bar, Validation, probabilities, validation_request


def people(name: str, n: int, each: int = 2) -> Rows:
    """`n` people of `each` rows, all rows of one person in one group."""
    rows = [Row(id=f"{name}{i}-{k}", fields={"prompt": f"{name}{i}?{k}", "answer": "x"}, group=f"{name}{i}")
            for i in range(n) for k in range(each)]  # fmt: skip
    return Rows(tuple(rows), name)


GIVEN = Given(rows={"forget": people("f", 3), "retain": people("r", 10), "holdout": people("h", 3)})
NONE = Rows(())


def test_whole_groups_of_retain_rows_and_nothing_else() -> None:
    """6 rows to forget: 3 of the 10 retained people, each with both rows.

    Fails if a person is cut in two, a row of the plan's request is among them, or a row is both forgotten and kept.
    """
    found = validation_request(GIVEN, NONE, 1)
    gone, kept = found.splits.rows["forget"], found.splits.rows["retain"]
    assert len(gone) == found.asked == 6
    assert {gone.groups.count(group) for group in gone.groups} == {2}
    assert sorted((*gone.ids, *kept.ids)) == sorted(GIVEN.rows["retain"].ids)
    others = {validation_request(GIVEN, NONE, seed).splits.rows["forget"].ids for seed in range(5)}
    assert len(others) > 1
    assert validation_request(GIVEN, NONE, 1).splits.rows["forget"].ids == gone.ids


def test_a_copy_of_a_reported_row_is_not_fresh() -> None:
    """Fails if rows are told apart by id: utility would be read on a statement that the plan's run measures under another id."""
    copies = [Row(id=f"copy{i}", fields={"prompt": "locker?", "answer": "7"}, group="locker") for i in range(4)]
    retain = Rows((*GIVEN.rows["retain"], *copies), "retain")
    given = Given(rows={"forget": people("f", 1), "retain": retain})
    found = next(
        found
        for found in (validation_request(given, Rows((copies[0],)), seed) for seed in range(9))
        if "locker" not in found.splits.rows["forget"].groups
    )
    assert not {row.id for row in found.utility} & {row.id for row in copies}


def test_a_class_for_a_class() -> None:
    """The plan forgets class 3: another whole class is drawn. Fails if rows of all classes are drawn: another problem altogether."""
    rows = [Row(id=f"d{i}", fields={"features": [float(i)], "label": np.int64(i % 5)}) for i in range(50)]
    forget = Rows(tuple(row for row in rows if row["label"] == 3))
    given = Given(rows={"forget": forget, "retain": Rows(tuple(row for row in rows if row["label"] != 3))})
    found = validation_request(given, NONE, 2).splits.rows
    labels = {int(row["label"]) for row in found["forget"]}
    assert len(labels) == 1
    assert len(found["forget"]) == 10
    assert {int(row["label"]) for row in found["retain"]} == {0, 1, 2, 4} - labels
    some = Given(rows={"forget": Rows(tuple(rows[:4])), "retain": Rows(tuple(rows[4:]))})
    assert len(validation_request(some, NONE, 2).splits.rows["forget"]) == 4


def test_a_sub_class_for_a_sub_class() -> None:
    """The plan forgets digit 3 of the odd ones: another whole digit is drawn. Fails if rows of all digits are drawn, as single rows go."""
    rows = [
        Row(id=f"d{i}", fields={"features": [float(i)], "label": i % 2, "subclass": i % 10}, group=f"d{i}")
        for i in range(50)
    ]
    forget, retain = (Rows(tuple(row for row in rows if (row["subclass"] == 3) == gone)) for gone in (True, False))
    for seed in range(3):
        found = validation_request(Given(rows={"forget": forget, "retain": retain}), NONE, seed).splits.rows
        gone = {row["subclass"] for row in found["forget"]}
        assert len(gone) == 1
        assert len(found["forget"]) == 5
        assert {row["subclass"] for row in found["retain"]} == set(range(10)) - {3} - gone


def test_utility_is_of_rows_that_the_plan_does_not_report() -> None:
    """Fails if reported retain rows are among the utility rows while others are left, or their number is not said."""
    retain = GIVEN.rows["retain"]
    reported = retain[:8]
    found = validation_request(GIVEN, reported, 1)
    assert not set(found.utility.ids) & set(reported.ids)
    assert set(found.utility.ids) == set(found.splits.rows["retain"].ids) - set(reported.ids)
    assert found.reported == len(set(found.splits.rows["forget"].ids) & set(reported.ids))
    every = validation_request(GIVEN, retain, 1)
    assert every.utility.ids == every.splits.rows["retain"].ids
    assert every.reported == 20


def test_too_few_retain_rows_are_refused() -> None:
    """Fails if more is forgotten than kept: no such request was asked for."""
    given = Given(rows={"forget": people("f", 3), "retain": people("r", 5)})
    with pytest.raises(InputError, match="10 retain rows are too few to draw a second request of 6 from"):
        validation_request(given, NONE, 1)


def constant(p: float) -> Any:
    """A model that says class 0 with probability p."""
    model = tabular_model("mlp", features=Features(width=1), task=Classification(classes=2), width=2)
    with torch.no_grad():
        for parameter in model.module.parameters():
            parameter.zero_()
        model.module.head.bias.copy_(torch.tensor([math.log(p), math.log(1 - p)]))
    return model


def rows(name: str, labels: list[int]) -> Rows:
    return Rows(
        tuple(Row(id=f"{name}{i}", fields={"features": [i + len(name)], "label": y}) for i, y in enumerate(labels))
    )


def test_distances_by_hand() -> None:
    """Model .9, labels 0 1: p = .9 .1. Retrained gave .5 .3: distance (.4 + .2)/2 = .3, both ways alike.

    Utility rows 0 0: .9 where the retrained gave .95: fell by .05; where they gave .8, by nothing. Fails if signs are kept (over-forgetting
    would pay), rows are averaged first, or utility above the retrained models' counts for the model.
    """
    forget, utility = rows("f", [0, 1]), rows("ut", [0, 0])
    found = Validation(Splits.of(forget=forget, retain=utility), utility, NONE, 0, len(forget))
    np.testing.assert_allclose(probabilities(constant(0.9), forget, Job()), [0.9, 0.1], atol=1e-6)
    bar = Bar(np.array([0.5, 0.3]), np.array([0.95, 0.95]))
    assert bar.distances(constant(0.9), found, Job()) == pytest.approx((0.3, 0.05), abs=1e-6)
    above = Bar(np.array([0.5, 0.3]), np.array([0.8, 0.8]))
    assert above.distances(constant(0.9), found, Job()) == pytest.approx((0.3, 0.0), abs=1e-6)
