"""Expected calibration error by hand."""

from __future__ import annotations

import numpy as np
import pytest

from expunge.facts.errors import InputError
from expunge.statistics.calibration import bin_gaps, expected_calibration_error

SURE = np.array([0.95, 0.95, 0.55, 0.5])
RIGHT = np.array([1.0, 0.0, 1.0, 0.0])


def test_by_hand() -> None:
    """Fails if bins are averaged without their share of rows, or gaps of one sign cancel across bins.

    Ten bins: {.95, .95} accuracy .5, gap -.45, share 1/2; {.55} gap .45, share 1/4; {.5} (bin (.4, .5]) gap -.5, share 1/4.
    """
    assert expected_calibration_error(SURE, RIGHT, 10) == pytest.approx(0.5 * 0.45 + 0.25 * 0.45 + 0.25 * 0.5)
    assert expected_calibration_error(SURE, RIGHT, 1) == pytest.approx(abs(RIGHT.mean() - SURE.mean()))


def test_gaps_are_row_by_row() -> None:
    """Fails if a row falls into two bins or none (confidence 0 and 1 among them)."""
    gaps = bin_gaps(np.array([0.0, 1.0, 0.3]), np.array([0.0, 1.0, 1.0]), 3)
    assert gaps.shape == (3, 3)
    assert gaps[:, 2].tolist() == pytest.approx([0.7, 0.0, 0.0])
    assert np.count_nonzero(gaps) == 1


def test_confidences_above_one_are_refused() -> None:
    """Fails if log-probabilities or logits pass for confidences."""
    with pytest.raises(InputError):
        bin_gaps(np.array([1.2]), np.array([1.0]), 10)
