"""Expected calibration error: how far confidence lies from accuracy, bin by bin."""

from __future__ import annotations

import numpy as np

from expunge.facts.errors import InputError
from expunge.statistics.clusters import FloatArray, numbers


def bin_gaps(confidence: FloatArray, right: FloatArray, bins: int) -> FloatArray:
    """Return, a bin and row, right - confidence where the row lies in the bin, else 0; (bins, rows).

    Bins have equal width, (b / bins, (b + 1) / bins]; the sum over bins of |row mean| is the expected calibration error.
    """
    sure, hit = numbers(confidence, "confidences"), numbers(right, "hits")
    if sure.min() < 0 or sure.max() > 1 + 1e-9 or bins < 1:
        raise InputError(f"confidences lie in [{sure.min():g}, {sure.max():g}], bins number {bins}")
    place = np.clip(np.ceil(sure * bins).astype(np.int64) - 1, 0, bins - 1)
    return np.asarray((place == np.arange(bins)[:, None]) * (hit - sure), np.float64)


def expected_calibration_error(confidence: FloatArray, right: FloatArray, bins: int = 15) -> float:
    """Return sum_b (n_b / n) |accuracy_b - mean confidence_b|.  Source: Naeini et al. 2015; Guo et al. 2017."""
    return float(np.abs(bin_gaps(confidence, right, bins).mean(1)).sum())
