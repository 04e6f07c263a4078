"""How the model was made, as far as the record shows it: a stated provenance without its checks is none."""

from __future__ import annotations

import math
from dataclasses import dataclass

from expunge.facts.claim import Provenance
from expunge.facts.record import Record
from expunge.verdict.roles import is_guarded


@dataclass(frozen=True, kw_only=True)
class Made:
    """A provenance that stands, what to print with it, and why a stated one does not stand or is contradicted."""

    provenance: Provenance
    qualifiers: tuple[str, ...] = ()
    refused: str | None = None
    contradicted: str | None = None


def made(record: Record) -> Made:
    """Return the provenance that the record supports.

    `exact` and `bounded` need at least one named check that could have failed. `bounded` also needs `epsilon` in the
    method's notes, for the whole forget group and at most the plan's cap; `canary_epsilon_low`, where it was measured,
    is a 95% lower bound on epsilon and contradicts a smaller stated one. A guard leaves the weights: it has none.
    Where the method notes fewer `forgotten_rows` than were asked for, the claim says so: nothing was removed for rows that
    were never in, or that are known by other ids.
    """
    method = record.method
    if method.provenance == "none":
        return Made(provenance="none")
    if is_guarded(record):
        return Made(provenance="none", refused=f"{method.provenance} was stated for a guard, which leaves the weights")
    if not method.provenance_checks:
        return Made(provenance="none", refused=f"{method.provenance} was stated without a check")
    asked = next((facts.n for facts in record.splits if facts.name == "forget"), 0)
    gone = _number(method.notes.get("forgotten_rows"))
    fewer = (f"{gone:g} of the {asked} forget rows were in training",) if gone is not None and gone < asked else ()
    return _bounded(record, fewer) if method.provenance == "bounded" else Made(provenance="exact", qualifiers=fewer)


def _bounded(record: Record, fewer: tuple[str, ...]) -> Made:
    epsilon, cap = _number(record.method.notes.get("epsilon")), record.thresholds.epsilon_cap
    if epsilon is None or epsilon < 0:
        return Made(provenance="none", refused="bounded was stated without an epsilon")
    if epsilon > cap:
        return Made(provenance="none", refused=f"epsilon {epsilon:g} is above the plan's cap of {cap:g}")
    seen = _number(record.method.notes.get("canary_epsilon_low"))
    if seen is not None and seen > epsilon:
        return Made(
            provenance="bounded",
            contradicted=f"canaries show epsilon of at least {seen:g}, stated is {epsilon:g}",
        )
    without = () if seen is not None else ("epsilon not tried on canaries",)
    return Made(provenance="bounded", qualifiers=(f"epsilon {epsilon:g}", *without, *fewer))


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
        return None
    return float(value)
