"""NPO under masks of the same size, over five targets of digits that are to forget the threes."""

from __future__ import annotations

from classifiers import mean_interval
from digits_seeds import at_rate, gentlest, kept, more_kept

RATIO, RATE = 0.1, 2e-4
"""Share of the weights that move, and a rate at which ten passes on all of them leave part of the class (seeds 900 and 920)."""


def attribution_is_quicker_and_keeps_no_more_than(locator: str) -> None:
    """See what holds of the claim at one learning rate, and what does not where each mask has the rate that forgets."""
    attributed, other = (at_rate(RATE, "npo", one, RATIO) for one in ("weight_attribution", locator))
    less = mean_interval(kept(other, "forget") - kept(attributed, "forget"))
    print(less)
    assert less.low > 10
    assert more_kept(attributed, other).low > -0.5
    each = more_kept(
        gentlest("npo", locator="weight_attribution", ratio=RATIO), gentlest("npo", locator=locator, ratio=RATIO)
    )
    assert each.low < 0 < each.high
    assert max(-each.low, each.high) < 2
