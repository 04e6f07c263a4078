"""Membership against a reference model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from expunge.attacks.reference import Reference

NO_PROBE: Any = None


def test_difference_of_means(evidence: Callable[..., Any]) -> None:
    """Fails if the reference is added, or taken from another row."""
    own = evidence({"forget": [[-1.0, -3.0], [-1.0]], "holdout": [[-4.0]]})
    other = evidence({"forget": [[-5.0, -5.0], [-1.5]], "holdout": [[-1.0]]}, name="retrained-0")
    found = Reference().run(replace(own, reference=other), NO_PROBE)
    assert (found.forget, found.holdout) == ((3.0, 0.5), (-3.0,))


def test_without_a_reference_it_is_unscored(evidence: Callable[..., Any]) -> None:
    """Fails if the plain loss stands for the missing difference."""
    found = Reference().run(evidence({"forget": [[-1.0]], "holdout": [[-1.0]]}), NO_PROBE)
    assert found.unscored == "unlearned has no reference model that saw neither split"
