"""Which units a verification runs, and which it leaves out with the reason."""

from __future__ import annotations

import pytest

from expunge.contract.about import BATTERIES, NAMED
from expunge.contract.registry import units
from expunge.facts.errors import InputError
from expunge.facts.rows import Row, Rows
from expunge.pipeline.battery import check_battery, choose

ALL = frozenset({"forget", "retain", "holdout", "test", "retrained", "shadows", "recipe", "logits"})


def test_a_larger_battery_holds_the_smaller_ones() -> None:
    """Fails if levels are compared as words, or a level holds only its own attacks."""
    names = [{name for name, _ in choose("text", ALL, level=level).attacks} for level in BATTERIES]
    assert names[0] < names[1] < names[2]
    fits = {name: unit.about.battery for name, unit in units("attack").items() if "text" in unit.about.modalities}
    assert names[2] == {name for name, battery in fits.items() if battery != NAMED}
    assert NAMED in fits.values()
    assert "direct_question" in names[0]


def test_what_cannot_run_is_left_out_and_named() -> None:
    """Fails if an attack that needs holdout rows runs without, or is dropped in silence."""
    without = choose("text", ALL - {"holdout"}, level="standard")
    names = {name for name, _ in without.attacks}
    for name, unit in units("attack").items():
        if "holdout" in unit.about.needs:
            assert name not in names
    assert any("loss" in reason and "holdout" in reason for reason in without.left_out)
    assert "loss" not in without.names


def test_diagnostic_metrics_wait_for_the_full_battery() -> None:
    """Fails if a metric that declares `full` fills every page, or others are left out of the quick check."""
    names = {level: {name for name, _ in choose("text", ALL, level=level).metrics} for level in BATTERIES}
    assert names["quick"] == names["standard"] < names["full"]
    assert {"refusal_rate", "collateral_by_distance"} <= names["full"] - names["standard"]


def test_an_attack_whose_rows_bring_nothing_for_it_is_left_out() -> None:
    """Fails if an attack that reads a field of the rows runs where one of them lacks it, or is left out though the plan sets it."""
    bare = Rows((Row(id="a", fields={"prompt": "x", "answer": "y"}),), "forget")
    chosen = choose("text", ALL, level="full", forget=bare)
    reading = {name for name, unit in units("attack").items() if unit.about.row_fields}
    assert {"paraphrase", "cross_lingual", "in_context"} <= reading
    assert not reading & {name for name, _ in chosen.attacks}
    assert all(any(f"attack {name} left out" in reason for reason in chosen.left_out) for name in reading)
    asked = choose("text", ALL, level="full", forget=bare, settings={"paraphrase": {"templates": ("{prompt} Say.",)}})
    assert "paraphrase" in {name for name, _ in asked.attacks}


def test_what_was_asked_for_by_name_is_kept() -> None:
    """Fails if an attack named in the plan is left out for want of holdout rows: it must come out unscored and block the rung."""
    chosen = choose("text", frozenset({"forget"}), attacks=["min_k", "direct_question"])
    assert [name for name, _ in chosen.attacks] == ["min_k", "direct_question"]
    assert chosen.names == ("min_k",)
    assert chosen.left_out == ()


def test_settings_reach_the_unit_they_name() -> None:
    """Fails if a unit runs with its defaults where the plan has a value for it."""
    chosen = choose(
        "text", ALL, attacks=["direct_question"], metrics=[], settings={"direct_question": {"threshold": 0.5}}
    )
    assert chosen.attacks[0][1].threshold == 0.5


def test_units_serve_the_modality() -> None:
    """Fails if a language model's metric is run on images."""
    chosen = choose("vision", ALL, level="full")
    for name, unit in (*chosen.metrics, *chosen.attacks):
        assert "vision" in unit.about.modalities, name
    assert "rouge" not in {name for name, _ in chosen.metrics}


@pytest.mark.parametrize(
    ("level", "attacks", "metrics", "wanted"),
    [
        ("fulll", None, None, "no battery 'fulll'; the nearest is 'full'"),
        ("full", ["los"], None, "no attack named 'los'; the nearest is 'loss'"),
        ("full", None, ["acuracy"], "no metric named 'acuracy'; the nearest is 'accuracy'"),
    ],
)
def test_unknown_names_are_refused(
    level: str, attacks: list[str] | None, metrics: list[str] | None, wanted: str
) -> None:
    """Fails if an unknown name means an empty battery, which any model passes."""
    with pytest.raises(InputError, match=wanted):
        check_battery(level, attacks, metrics)
    with pytest.raises(InputError, match=wanted):
        choose("text", ALL, level=level, attacks=attacks, metrics=metrics)


def test_holdout_rows_are_attacked_only_where_they_are_the_control() -> None:
    """Fails if attacks go over rows that no verdict reads (twice the cost beside retrained models), or a plan's own setting is overruled."""
    for controlled in (False, True):
        chosen = dict(choose("text", ALL, attacks=["relearning", "loss"], controlled=controlled).attacks)
        assert chosen["relearning"].item_control is not controlled
    asked = choose(
        "text", ALL, attacks=["relearning"], settings={"relearning": {"item_control": True}}, controlled=True
    )
    assert asked.attacks[0][1].item_control
