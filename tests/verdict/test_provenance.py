"""A stated provenance stands only with what it needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from expunge.verdict.provenance import made
from expunge.verdict.reach import reach

EXACT = {"provenance": "exact", "provenance_checks": ("hash",)}
BOUNDED = {"provenance": "bounded", "provenance_checks": ("accountant",)}


@pytest.mark.parametrize(
    ("method", "provenance", "refused"),
    [
        ({"provenance": "exact"}, "none", "exact was stated without a check"),
        (EXACT, "exact", None),
        ({**EXACT, "guard": "refusal"}, "none", "exact was stated for a guard, which leaves the weights"),
        (BOUNDED, "none", "bounded was stated without an epsilon"),
        ({**BOUNDED, "notes": {"epsilon": float("nan")}}, "none", "bounded was stated without an epsilon"),
        ({**BOUNDED, "notes": {"epsilon": 8.1}}, "none", "epsilon 8.1 is above the plan's cap of 8"),
        ({**BOUNDED, "notes": {"epsilon": 8}}, "bounded", None),
    ],
)
def test_what_stands(
    planted: Callable[..., Any], never: dict[str, float], method: dict[str, Any], provenance: str, refused: str | None
) -> None:
    """Fails if a check may be missing, NaN passes the cap, or the cap itself is refused."""
    found = made(planted().record(never, method=method))
    assert (found.provenance, found.refused) == (provenance, refused)


def test_a_bound_is_printed_and_tried_on_canaries(planted: Callable[..., Any], never: dict[str, float]) -> None:
    """Fails if canaries that show more than the stated epsilon do not contradict it."""
    claim = reach(planted().record(never, method={**BOUNDED, "notes": {"epsilon": 2.0}}))
    assert claim.headline == "bounded (epsilon 2; epsilon not tried on canaries; conditional on 3 retrained models)"
    agreeing = reach(planted().record(never, method={**BOUNDED, "notes": {"epsilon": 2.0, "canary_epsilon_low": 1.9}}))
    assert agreeing.qualifiers[:2] == ("epsilon 2", "conditional on 3 retrained models")
    broken = reach(planted().record(never, method={**BOUNDED, "notes": {"epsilon": 2.0, "canary_epsilon_low": 2.1}}))
    assert (broken.contradicted, broken.rung) == (True, "not_shown")
    assert broken.missing == ("bounded is contradicted: canaries show epsilon of at least 2.1, stated is 2",)


def test_a_refused_provenance_is_said(planted: Callable[..., Any], never: dict[str, float]) -> None:
    """Fails if `exact` without a check vanishes without a word."""
    claim = reach(planted().record(never, method={"provenance": "exact"}))
    assert (claim.provenance, claim.rung) == ("none", "indistinguishable")
    assert claim.missing == ("provenance: exact was stated without a check",)


@pytest.mark.parametrize(("gone", "words"), [(0, "0 of the 80 forget rows were in training"), (80, None)])
def test_rows_that_were_never_in_are_said(
    planted: Callable[..., Any], never: dict[str, float], gone: int, words: str | None
) -> None:
    """Wrong ids make any model exact: nothing had to go. Fails if the headline of such a removal reads as one of the rows asked for."""
    claim = reach(planted().record(never, method={**EXACT, "notes": {"forgotten_rows": gone}}))
    assert claim.provenance == "exact"
    assert (words in claim.headline) if words else ("were in training" not in claim.headline)
    notes = {"epsilon": 2.0, "forgotten_rows": gone}
    bounded = reach(planted().record(never, method={**BOUNDED, "notes": notes}))
    assert bounded.provenance == "bounded"
    assert (words in bounded.headline) if words else ("were in training" not in bounded.headline)
