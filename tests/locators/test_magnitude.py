from __future__ import annotations

import pytest
from attributed import attribution_is_quicker_and_keeps_no_more_than
from locator_models import linear, table

from expunge.contract.apply import locate
from expunge.contract.splits import Splits
from expunge.engine.select import Portion
from expunge.locators.magnitude import Magnitude


def test_the_largest_in_size_move() -> None:
    """|W| = [[.1, 3], [2, .5]]. Fails if signs decide, or the smallest move."""
    splits = Splits.of(forget=table("f", ((1.0, 1.0), 0)))
    model = linear([[0.1, -3.0], [2.0, -0.5]])
    assert locate(Magnitude(), model, splits).entries["weight"].tolist() == [[False, True], [True, False]]
    most = locate(Magnitude(portion=Portion(ratio=0.75)), model, splits)
    assert most.entries["weight"].tolist() == [[False, True], [True, True]]


@pytest.mark.slow
def test_claim_as_a_mask_for_npo_it_is_slower_than_attribution() -> None:
    """Five targets, NPO on a tenth of the weights. At one rate (2e-4, ten passes) it leaves 100% of the threes where attribution leaves 67, and
    as many retain rows are right (-.03 [-.12, .05] after attribution): the claim. Where each has the lowest rate that leaves under 5%, they
    are not told apart: attribution keeps -.05 points [-.9, .8] more. What the mask gives is a longer step.

    Fails if attribution picks other weights than those that the forget rows lean on.
    """
    attribution_is_quicker_and_keeps_no_more_than("magnitude")
