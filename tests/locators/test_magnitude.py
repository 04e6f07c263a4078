from __future__ import annotations

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
