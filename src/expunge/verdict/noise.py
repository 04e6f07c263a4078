"""Whether a model exceeds its controls by more than these differ among themselves: what a contradiction of provenance needs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from expunge.facts.record import Outcome, Record, Test
from expunge.statistics.auc import auc
from expunge.statistics.equivalence import highest_of_another
from expunge.verdict.compare import control_outcomes
from expunge.verdict.roles import controls_of, name_of, outcomes_of


def beyond_noise(record: Record, leaks: Sequence[Test], looked_at: int, *, below: bool = False) -> list[Test]:
    """Return the leaks (with `below` the shortfalls) that one more model made as the controls were would not show by chance.

    Row-level bounds hold for these control models; a model trained exactly as they were differs from them by its own training. A leak
    counts where the judged model's success lies above the controls' upper prediction bound at alpha over `looked_at` tests (a
    contradiction is a finding among many attacks, so that it is corrected for them). One control alone shows no noise: there every
    leak counts.
    """
    alpha, sign = record.thresholds.alpha / max(1, looked_at), -1 if below else 1
    return [test for test in leaks if _beyond(record, test, alpha, sign)]


def _beyond(record: Record, test: Test, alpha: float, sign: int) -> bool:
    names = controls_of(record)
    if len(names) < 2:
        return True
    found = outcomes_of(record, test.subject, test.step).values()
    judged = next(outcome for outcome in found if name_of(outcome) == test.name)
    controls = [sign * _value(one) for one in control_outcomes(record, judged, names)]
    return len(controls) < 2 or sign * _value(judged) > highest_of_another(controls, alpha=alpha)


def _value(outcome: Outcome) -> float:
    if outcome.kind == "member":
        return auc(outcome.forget, outcome.holdout)
    return float(np.mean(outcome.forget))
