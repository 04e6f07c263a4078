from __future__ import annotations

import pytest
from tiny_problems import Tiny, mean_over_rows, nll, plain

from expunge.methods.grad_diff import GradDiff


def test_loss_is_the_weighted_difference_of_means_over_rows(people: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if: a sign or weight is lost, the weights change places, or long rows weigh more."""
    seen = people.spied(GradDiff(forget_weight=2.0, retain_weight=3.0), monkeypatch)
    forget = mean_over_rows([nll(row) for row in plain(seen.moved, seen.step.forget)])
    retain = mean_over_rows([nll(row) for row in plain(seen.moved, seen.step.retain)])
    assert seen.loss == pytest.approx(-2.0 * forget + 3.0 * retain, rel=1e-5)
