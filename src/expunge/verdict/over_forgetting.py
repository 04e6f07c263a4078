"""Rows that a model answers worse than one that never saw them: told apart by that, from below."""

from __future__ import annotations

from collections.abc import Sequence

from expunge.facts.record import Record, Test
from expunge.verdict.noise import beyond_noise


def over_forgotten(record: Record, tests: Sequence[Test]) -> tuple[str, ...]:
    """Return one qualifier that names the questions and attacks shown to get less than from the control; none where there is none.

    A rung asks whether more is got than from the control. Less tells the rows apart as well: whoever knows what a model that never saw them
    answers sees that these were removed, and a membership score that ranks them below rows never seen is as good turned over. A test is
    named where the upper bound of success - control lies below -margin, and the success below the lower prediction bound for one more
    control model (as a contradiction must lie above the upper one: decision 11).
    """
    looked_at = [test for test in tests if test.step in ("behavioural", "resistant") and test.unscored is None]
    low = [test for test in looked_at if test.high is not None and test.margin is not None and test.high < -test.margin]
    found = beyond_noise(record, low, len(looked_at), below=True)
    return (f"over-forgets by {', '.join(test.name for test in found)}",) if found else ()
