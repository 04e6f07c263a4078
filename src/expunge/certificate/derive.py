"""Derive a claim and its tests from a record, and say where a stated claim departs from what was derived."""

from __future__ import annotations

import math
from collections.abc import Callable

from expunge.facts.claim import Claim
from expunge.facts.record import Record, Test

TOLERANCE = 1e-6
"""Relative; another machine's linear algebra may differ in the last digits, never in what a test decides."""


Verdict = Callable[[Record], tuple[tuple[Test, ...], Claim]]
"""How a record becomes its tests and its claim."""


def derive(record: Record) -> tuple[tuple[Test, ...], Claim]:
    """Return the tests and the claim that the evidence supports, whatever the record itself states."""
    from expunge.verdict.reach import derive_tests, reach

    bare = record.model_copy(update={"tests": (), "claim": None})
    return derive_tests(bare), reach(bare)


def differences_in_claim(stated: Claim, derived: Claim) -> tuple[str, ...]:
    """Return the fields in which a stated claim is not the derived one."""
    return tuple(
        f"{name}: stated {getattr(stated, name)!r}, the evidence gives {getattr(derived, name)!r}"
        for name in Claim.model_fields
        if getattr(stated, name) != getattr(derived, name)
    )


def differences_in_tests(stated: tuple[Test, ...], derived: tuple[Test, ...]) -> tuple[str, ...]:
    """Return where the stated tests are not the derived ones: numbers within `TOLERANCE`, all else exactly."""
    if len(stated) != len(derived):
        return (f"{len(stated)} tests are stated, the evidence gives {len(derived)}",)
    return tuple(
        f"{one.name} ({one.subject}) {name}: stated {getattr(one, name)!r}, the evidence gives {getattr(two, name)!r}"
        for one, two in zip(stated, derived, strict=True)
        for name in Test.model_fields
        if not _alike(getattr(one, name), getattr(two, name))
    )


def _alike(one: object, two: object) -> bool:
    if isinstance(one, float) and isinstance(two, float):
        both_nan = math.isnan(one) and math.isnan(two)
        return both_nan or math.isclose(one, two, rel_tol=TOLERANCE, abs_tol=1e-9)
    return one == two
