from __future__ import annotations

import pytest
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
