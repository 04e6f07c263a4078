from __future__ import annotations

import pytest
from tiny_problems import Tiny, mean_over_positions, nll, plain

from expunge.methods.wga import WGA


def test_loss_weighs_each_token_by_its_probability(people: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """-mean p^beta (-log p). Fails if: the sign or the power is lost, or the weight is one number a row."""
    seen = people.spied(WGA(beta=0.5, forget_weight=2.0, retain_weight=3.0), monkeypatch)
    forget = [nll(row) for row in plain(seen.moved, seen.step.forget)]
    push = -mean_over_positions([(-x).exp() ** 0.5 * x for x in forget])
    keep = mean_over_positions([nll(row) for row in plain(seen.moved, seen.step.retain)])
    assert seen.loss == pytest.approx(2.0 * push + 3.0 * keep, rel=1e-4)


def test_forgets_and_keeps(people: Tiny, clouds: Tiny) -> None:
    """Fails if: a term's sign is turned over, or one of the splits is not read."""
    people.removes(WGA, {"batch_size": 4}, forget=0.4, retain=0.7)
    clouds.removes(WGA, {"batch_size": 4}, forget=0.1, retain=0.9)
