"""Membership by standardised token probabilities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from expunge.attacks.min_k_plus_plus import MinKPlusPlus
from expunge.facts.rows import Row, Rows

NO_PROBE: Any = None


def test_mean_of_the_lowest_standardised(evidence: Callable[..., Any], scores: Callable[..., Any]) -> None:
    """Fails if variance stands for the deviation, the mean has another sign, or a variance of 0 divides.

    z = (-1+3)/2, (-2+1)/.5, (-4+4)/1e-3 = 1, -2, 0; the lowest third is -2, all together -1/3.
    """
    rows = {split: Rows((Row(id=split, fields={"answer": "x"}),)) for split in ("forget", "holdout")}
    columns = {"mean": np.array([-3.0, -1.0, -4.0]), "variance": np.array([4.0, 0.25, 0.0])}
    passed = {split: scores({(split, "answer"): [-1.0, -2.0, -4.0]}, **columns) for split in rows}
    given = evidence({}, rows=rows, scores=passed)
    assert MinKPlusPlus(k=0.34).run(given, NO_PROBE).forget == (-2.0,)
    assert MinKPlusPlus(k=1.0).run(given, NO_PROBE).holdout == pytest.approx((-1 / 3,))
    with pytest.raises(ValueError, match="share of the tokens"):
        MinKPlusPlus(k=0.0)
