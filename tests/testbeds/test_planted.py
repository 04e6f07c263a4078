"""Planted cases: what is true of each, and (slow) whether the verdict says so."""

from __future__ import annotations

import sys

import pytest
from benches import bench

from expunge.facts.claim import Rung
from expunge.testbeds.planted import Case


@pytest.mark.parametrize(
    ("right", "never", "rung", "not_found", "expected"),
    [
        (("behavioural",), False, "behavioural", False, True),
        (("behavioural",), False, "resistant", False, False),
        (("not_shown",), False, "not_shown", True, False),
        ((), True, "not_shown", True, True),
        ((), True, "not_shown", False, False),
    ],
)
def test_which_claims_are_right(
    right: tuple[Rung, ...], never: bool, rung: Rung, not_found: bool, expected: bool
) -> None:
    """Fails if not_found counts as not_shown, or a rung above the true one passes."""
    case = Case(name="x", target=None, unlearned=None, right=right, not_found=never)  # type: ignore[arg-type]
    assert case.is_right(rung, not_found) is expected


def test_the_seeds_that_set_thresholds_are_not_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a world that thresholds were set on is counted."""
    module = bench("planted")
    monkeypatch.setattr(sys, "argv", ["planted.py", "--seeds", f"0-{module.CALIBRATED[0]}"])
    with pytest.raises(SystemExit) as left:
        module.main()
    assert "set the thresholds" in str(left.value.code)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", [20, 21, 22])
def test_the_verdict_is_right(seed: int) -> None:
    """Eight cases a world, of which it is known how far they went. Fails if the verdict calls one of them anything untrue."""
    wrong = {
        case.name: (claim.rung, claim.missing)
        for case, _, claim in bench("planted").claims(seed)
        if not case.is_right(claim.rung, claim.not_found)
    }
    assert not wrong
