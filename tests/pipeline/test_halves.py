"""Which rows the shadow models of halves are trained on."""

from __future__ import annotations

from collections import Counter

import pytest

from expunge.engine.order import ordered
from expunge.facts.rows import Row, Rows
from expunge.pipeline.shadows import halves


def grouped(groups: int, each: int) -> Rows:
    return Rows(tuple(Row(id=f"{g}-{i}", fields={}, group=f"g{g}") for g in range(groups) for i in range(each)))


@pytest.mark.parametrize("groups", [10, 11])
def test_every_group_is_in_half_of_the_models(groups: int) -> None:
    """Fails if membership is a coin a model (then a row may be in all of them), or a group is cut in two."""
    rows = grouped(groups, 3)
    found = halves(rows, 8, 5)
    assert len(found) == 8
    counts = Counter(row.id for half in found for row in half)
    assert counts == dict.fromkeys(rows.ids, 4)
    for one, other in zip(found[::2], found[1::2], strict=True):
        assert len(set(one.groups)) - len(set(other.groups)) == groups % 2
        assert not set(one.groups) & set(other.groups)
        assert sorted((*one.ids, *other.ids)) == sorted(rows.ids)
    assert len({frozenset(half.ids) for half in found}) == 8
    turned = halves(rows.take(ordered(rows, 1, 1)), 8, 5)
    assert [set(half.ids) for half in turned] == [set(half.ids) for half in found]
    assert [half.ids for half in halves(rows, 8, 6)] != [half.ids for half in found]
