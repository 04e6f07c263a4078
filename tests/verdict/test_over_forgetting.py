"""What is answered worse than by a model that never saw it is told apart by that, and the claim says so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from expunge.facts.record import Outcome, Record
from expunge.verdict.reach import reach

Make = Callable[..., Any]
ROWS = 400
WIDE = (0.27, 0.3, 0.32, 0.35, 0.38, 0.4, 0.43, 0.45, 0.48, 0.5)
NARROW = (0.37, 0.38, 0.38, 0.38, 0.38, 0.39, 0.38, 0.38, 0.38, 0.38)


def asked(model: str, share: float) -> Outcome:
    """The first rows are got right: models differ by the number of rows alone."""
    right = (np.arange(ROWS) < round(share * ROWS)).astype(float)
    return Outcome(
        attack="direct questions", model=model, kind="success", step="behavioural", forget=tuple(right.tolist())
    )


def record_of(planted: Make, never: Any, judged: float, controls: Sequence[float]) -> Record:
    """A record whose direct questions are answered at these rates, all else as by models that never saw the rows."""
    record = planted().record(never, controls=len(controls))
    kept = [one for one in record.outcomes if one.step != "behavioural"]
    rates = {"target": 0.98, "judged": judged} | {f"retrained-{i}": rate for i, rate in enumerate(controls)}
    return record.model_copy(update={"outcomes": (*(asked(*pair) for pair in rates.items()), *kept)})


def named(record: Record) -> list[str]:
    return [one for one in reach(record).qualifiers if one.startswith("over-forgets")]


def test_a_rung_that_was_reached_says_what_is_below_its_control(planted: Make, never: Any) -> None:
    """.1 where ten retrained models answer .38. Fails if a rung hides it, or the rung itself is taken away."""
    record = record_of(planted, never, 0.1, NARROW)
    assert named(record) == ["over-forgets by direct questions"]
    assert reach(record).rung == "indistinguishable"
    assert "over-forgets by direct questions" in reach(record).headline


def test_nothing_is_named_within_the_margin_or_within_the_noise_between_models(planted: Make, never: Any) -> None:
    """.35 is within the margin of .38; .25 is not, and lies where one more of models between .27 and .5 may. Fails if either is named,
    or if what is below all noise (.02) is not."""
    assert named(record_of(planted, never, 0.35, NARROW)) == []
    assert named(record_of(planted, never, 0.25, WIDE)) == []
    assert len(named(record_of(planted, never, 0.02, WIDE))) == 1


def test_a_membership_score_turned_over_is_named(planted: Make, never: Any) -> None:
    """Forget rows rank below rows never seen: whoever turns the score over has an attack. Fails if AUCs below one half pass in silence."""
    assert named(planted().record({**never, "loss": -3.0}, controls=5)) == ["over-forgets by loss"]
    assert named(planted().record(never, controls=5)) == []


def test_nothing_is_named_where_no_rung_was_reached(planted: Make, never: Any) -> None:
    """Utility is lost and nothing is answered. Fails if a model that was destroyed is said to over-forget."""
    record = planted().record({**never, "loss": -3.0, "utility": 0.2}, controls=5)
    assert (reach(record).rung, named(record)) == ("not_shown", [])
