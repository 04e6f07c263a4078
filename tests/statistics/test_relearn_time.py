"""How soon a model learned again."""

from __future__ import annotations

import pytest

from expunge.statistics.relearn_time import anamnesis_index, steps_back

SLOW, QUICK, NEVER = (
    [(0.0, 0.0), (1.0, 0.2), (2.0, 0.5), (4.0, 0.96)],
    [(0.0, 0.0), (1.0, 0.97), (2.0, 0.9), (4.0, 1.0)],
    [(0.0, 0.1), (4.0, 0.2)],
)


def test_first_step_within_alpha() -> None:
    """Fails if the last or the closest step is taken, or alpha is not subtracted from 1."""
    assert (steps_back(SLOW, 0.05), steps_back(QUICK, 0.05), steps_back(NEVER, 0.05)) == (4.0, 1.0, None)
    assert steps_back(SLOW, 0.5) == 2.0


def test_anamnesis_index_by_hand() -> None:
    """Fails if the ratio is turned over, or one retrained model is taken for their mean: 1 / ((4 + 1) / 2)."""
    assert anamnesis_index(QUICK, [SLOW, QUICK]).value == pytest.approx(0.4)
    assert anamnesis_index(SLOW, [SLOW]).value == 1.0


def test_what_has_no_index() -> None:
    """Fails if a curve that ends too soon gives its last step, or zero steps are divided by."""
    assert "not back after 4 steps" in (anamnesis_index(NEVER, [SLOW]).unscored or "")
    assert anamnesis_index(QUICK, [SLOW, NEVER]).unscored == "1 of 2 retrained models are not back"
    assert "before the first step" in (anamnesis_index(QUICK, [[(0.0, 1.0)]]).unscored or "")
    assert anamnesis_index(QUICK, []).unscored == "0 of 0 retrained models are not back"
