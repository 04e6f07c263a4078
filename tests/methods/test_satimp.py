from __future__ import annotations

import pytest
from digits_seeds import gentlest, more_kept
from tiny_problems import Tiny, mean_over_positions, nll, plain

from expunge.methods.satimp import SatImp


def test_loss_weighs_by_saturation_and_importance(people: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """-mean p^2 (1 - p)^.5 (-log p). Fails if: the powers change places, the sign is lost, or a weight is left out."""
    method = SatImp(saturation=2.0, importance=0.5, forget_weight=2.0, retain_weight=3.0)
    seen = people.spied(method, monkeypatch)
    forget = [nll(row) for row in plain(seen.moved, seen.step.forget)]
    push = -mean_over_positions([(-x).exp() ** 2 * (1 - (-x).exp()) ** 0.5 * x for x in forget])
    keep = mean_over_positions([nll(row) for row in plain(seen.moved, seen.step.retain)])
    assert seen.loss == pytest.approx(2.0 * push + 3.0 * keep, rel=1e-4)


def test_forgets_and_keeps(people: Tiny, clouds: Tiny) -> None:
    """Fails if: a term's sign is turned over, or one of the splits is not read."""
    people.removes(SatImp, {"batch_size": 4}, forget=0.4, retain=0.8)
    clouds.removes(SatImp, {"batch_size": 4}, forget=0.1, retain=0.9)


@pytest.mark.slow
def test_claim_it_keeps_more_than_either_weight_alone() -> None:
    """Five targets, retain rows kept at equal forgetting (each at the lowest of rates at which under 5% of the class is left): 99.8%.

    More than by importance alone by 1.2 [.5, 1.9], than by saturation alone by .15 [.02, .29].

    Fails if one of the two weights is not read.
    """
    both = gentlest("satimp")
    assert more_kept(both, gentlest("satimp", saturation=0.0)).low > 0
    beside = more_kept(both, gentlest("satimp", importance=0.0))
    assert beside.estimate > 0
    assert beside.low > -0.2
