"""A score is a value, or a reason why there is none."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from expunge.facts.digest import canonical_json, read_json
from expunge.facts.score import Score, unscored


@pytest.mark.parametrize("given", [{}, {"value": 0.5, "unscored": "why"}, {"value": math.nan}])
def test_neither_both_and_nan_are_refused(given: dict[str, object]) -> None:
    """Fails if a score without value and reason, with both, or with NaN for a value can be made."""
    with pytest.raises(ValidationError):
        Score(name="x", **given)


def test_unscored_holds_no_number() -> None:
    """Fails if a value stands in where none could be computed, or the reason is lost on the way through JSON."""
    score = unscored("ks", "two rows are too few", n=2, ideal="lower")
    assert (score.value, score.is_scored, score.n, score.ideal) == (None, False, 2, "lower")
    assert Score.model_validate(read_json(canonical_json(score.model_dump()))) == score


def test_zero_and_infinity_are_values() -> None:
    """Fails if 0.0 counts as missing because it is falsy."""
    assert Score(name="x", value=0.0).is_scored
    assert Score(name="x", value=math.inf).value == math.inf


def test_an_unknown_field_is_refused() -> None:
    """Fails if a misspelt field passes in silence."""
    with pytest.raises(ValidationError):
        Score(name="x", value=1.0, lowest=0.0)  # type: ignore[call-arg]
