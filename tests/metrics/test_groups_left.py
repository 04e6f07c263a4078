"""Groups left whole, by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from expunge.facts.rows import Row
from expunge.metrics.groups_left import GroupsLeft


def person(name: str, rows: int) -> list[Row]:
    return [
        Row(id=f"{name}{i}", fields={"answer": f"It is {name}{i}.", "value": f"{name}{i}"}, group=name)
        for i in range(rows)
    ]


ROWS = [*person("a", 3), *person("b", 3), *person("c", 4), *person("d", 1)]
SAID = ["a0", "a1", "a2", "b0", "b1", "no", "no", "no", "c2", "no", "d0"]


def test_one_whole_group_of_three(evidence: Callable[..., Any]) -> None:
    """a comes out whole, b two thirds, c a quarter; d has one row and does not count: 1/3, at most 1.

    Fails if the mean over rows is taken, a group in part counts, or single rows count as groups.
    """
    found = GroupsLeft().run(evidence({"forget": ROWS}, generations={"forget": SAID}))
    assert found["forget"].value == pytest.approx(1 / 3)
    assert (found["forget"].n, found["forget"].per_example, found["forget"].ideal) == (3, None, "as_control")
    assert found["forget/most"].value == 1
    part = GroupsLeft().run(evidence({"forget": ROWS}, generations={"forget": ["no", *SAID[1:]]}))
    assert (part["forget"].value, part["forget/most"].value) == (0, pytest.approx(2 / 3))
    assert GroupsLeft(least=1).run(evidence({"forget": ROWS}, generations={"forget": SAID}))["forget"].value == 0.5


def test_what_the_mean_over_rows_hides(evidence: Callable[..., Any]) -> None:
    """Two people of sixty, four rows each, untouched: the mean over rows is .033, two groups are left whole. Fails if the mean decides."""
    rows = [row for i in range(60) for row in person(f"p{i}x", 4)]
    spoken = [str(row["value"]) if row.group in ("p0x", "p1x") else "no" for row in rows]
    found = GroupsLeft().run(evidence({"forget": rows}, generations={"forget": spoken}))
    assert found["forget"].value == pytest.approx(2 / 60)
    assert found["forget/most"].value == 1
    assert (found["forget"].low or 0) < 2 / 60 < (found["forget"].high or 0)


def test_right_is_enough_words_without_a_value(evidence: Callable[..., Any]) -> None:
    """Recall 3 of 4 words: out at .7, not at .8. Fails if the threshold is ignored."""
    rows = [Row(id=str(i), fields={"answer": "red green blue grey"}, group="g") for i in range(3)]
    given = evidence({"forget": rows}, generations={"forget": ["red green blue"] * 3})
    assert GroupsLeft().run(given)["forget"].value == 0
    assert GroupsLeft(threshold=0.7).run(given)["forget"].value == 1


def test_no_groups_no_value(evidence: Callable[..., Any]) -> None:
    """Fails if 0 groups left are reported where no group is large enough, or holdout rows without groups are made some."""
    single = [Row(id=str(i), fields={"answer": "x", "value": "x"}) for i in range(4)]
    given = evidence({"forget": single, "holdout": single}, generations={"forget": ["x"] * 4, "holdout": ["x"] * 4})
    found = GroupsLeft().run(given)
    assert set(found) == {"forget"}
    assert found["forget"].unscored == "no forget group has 3 rows"
    with pytest.raises(ValueError, match="at least 1"):
        GroupsLeft(least=0)
