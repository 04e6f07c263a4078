"""What is answered worse than by a model that never saw it is told apart by that, and the claim says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from expunge.facts.record import Record
from expunge.verdict.reach import reach

Make = Callable[..., Any]


def named(record: Record) -> list[str]:
    return [one for one in reach(record).qualifiers if one.startswith("over-forgets")]


def test_a_rung_that_was_reached_says_what_is_below_its_control(planted: Make, never: Any) -> None:
    """.1 where ten retrained models answer .38. Fails if a rung hides it, or the rung itself is taken away."""
    record = planted().answering(0.1, planted.NARROW)
    assert named(record) == ["over-forgets by direct questions"]
    assert reach(record).rung == "indistinguishable"
    assert "over-forgets by direct questions" in reach(record).headline


def test_nothing_is_named_within_the_margin_or_within_the_noise_between_models(planted: Make, never: Any) -> None:
    """.35 is within the margin of .38; .25 is not, and lies where one more of models between .27 and .5 may. Fails if either is named,
    or if what is below all noise (.02) is not."""
    assert named(planted().answering(0.35, planted.NARROW)) == []
    assert named(planted().answering(0.25, planted.WIDE)) == []
    assert len(named(planted().answering(0.02, planted.WIDE))) == 1


def test_a_membership_score_turned_over_is_named(planted: Make, never: Any) -> None:
    """Forget rows rank below rows never seen: whoever turns the score over has an attack. Fails if AUCs below one half pass in silence."""
    assert named(planted().record({**never, "loss": -3.0}, controls=5)) == ["over-forgets by loss"]
    assert named(planted().record(never, controls=5)) == []


def test_nothing_is_named_where_no_rung_was_reached(planted: Make, never: Any) -> None:
    """Utility is lost and nothing is answered. Fails if a model that was destroyed is said to over-forget."""
    record = planted().record({**never, "loss": -3.0, "utility": 0.2}, controls=5)
    assert (reach(record).rung, named(record)) == ("not_shown", [])
