"""Membership by the least likely tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import protocols
import pytest

from expunge.attacks.min_k import MinK

NO_PROBE: Any = None


def test_mean_of_the_lowest(evidence: Callable[..., Any]) -> None:
    """Fails if the highest are taken, k is rounded up, or a short answer has no token left."""
    given = evidence({"forget": [[-1.0, -5.0, -2.0, -4.0, -3.0], [-7.0]], "holdout": [[-1.0, -2.0, -6.0]]})
    assert MinK(k=0.4).run(given, NO_PROBE).forget == (-4.5, -7.0)
    assert MinK(k=0.59).run(given, NO_PROBE).forget == (-4.5, -7.0)
    assert MinK(k=1.0).run(given, NO_PROBE).holdout == (-3.0,)
    with pytest.raises(ValueError, match="share of the tokens"):
        MinK(k=40)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_claim_it_tells_members_no_better_than_the_loss() -> None:
    """The claim does not hold on short statements. Three draws, AUC of statements read once and four times against those never read.

    Min-20% less the loss: -.05 [-.12, .02] of .67 in one copy, .01 [-.01, .03] of .94 in four.
    Fails if the score is that of the most likely tokens.
    """
    found = protocols.hubble()
    for n in (1, 4):
        read = f"hubble_membership:late/x{n}/"
        assert found.over("target", f"{read}min_k", less="retrained").estimate > 0
        assert found.over("target", f"{read}min_k", than=f"{read}loss").low < 0
    assert found.over("target", "hubble_membership:late/x4/min_k", less="retrained").low > 0.2
