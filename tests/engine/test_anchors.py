"""Numbers read against retrained models, and when they are refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from expunge.contract.evidence import Evidence
from expunge.engine.anchors import anchors, gap_of, refuse_out_of_order
from expunge.facts.errors import InputError

VALUES = {"unlearned": 0.5, "target": 0.9, "retrained-0": 0.1, "retrained-1": 0.2, "retrained-2": 0.6}


def of(name: str) -> Evidence:
    return Evidence(name=name, role=name.partition("-")[0], modality="vision", rows={})


def linked(name: str, retrained: Sequence[str] = ("retrained-0", "retrained-1", "retrained-2")) -> Evidence:
    return replace(of(name), target=of("target"), retrained=tuple(of(one) for one in retrained if one != name))


def test_leave_one_out_whoever_asks() -> None:
    """Fails if a retrained model is read against itself, or left out of the anchors when it is the one that asks.

    |.9 - .3|; |.1 - .4|, |.2 - .35|, |.6 - .15|.
    """
    for name in VALUES:
        found = anchors(linked(name), gap_of(lambda one: VALUES[one.name]))
        assert found.target == pytest.approx(0.6)
        assert found.retrained == pytest.approx((0.3, 0.15, 0.45))
        assert found.floor == pytest.approx(0.3)


def test_refused_where_doing_nothing_reads_no_worse() -> None:
    """Fails if one retrained model that reads better than the target is enough, a tie passes, or the direction is turned."""
    asks = linked("unlearned")
    gaps = {"target": 0.6, "retrained-0": 0.3, "retrained-1": 0.15, "retrained-2": 0.45}
    refuse_out_of_order(asks, lambda one, _: gaps[one.name], better="lower")
    with pytest.raises(
        InputError, match="doing nothing reads 0.6, retrained models 0.15 to 0.45, and higher is better"
    ):
        refuse_out_of_order(asks, lambda one, _: gaps[one.name], better="higher")
    for worst in (0.6, 0.7):
        with pytest.raises(InputError, match=f"retrained models 0.15 to {worst:g}, and lower is better"):
            refuse_out_of_order(asks, lambda one, _: {**gaps, "retrained-2": worst}[one.name], better="lower")  # noqa: B023


def test_without_anchors_it_cannot_be_known() -> None:
    """Fails if a missing target or a single retrained model lets the number stand: nothing then says how noisy it is."""
    with pytest.raises(InputError, match="there is no target"):
        anchors(replace(linked("unlearned"), target=None), gap_of(lambda one: VALUES[one.name]))
    with pytest.raises(InputError, match="there are 1 of them"):
        anchors(linked("unlearned", ["retrained-0"]), gap_of(lambda one: VALUES[one.name]))
    two = anchors(linked("retrained-0", ["retrained-0", "retrained-1"]), gap_of(lambda one: VALUES[one.name]))
    assert two.retrained == pytest.approx((0.1, 0.1))
