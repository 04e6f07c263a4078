from __future__ import annotations

import pytest
from tiny_problems import Tiny, mean_over_rows, nll, plain

from expunge.contract.registry import build
from expunge.methods.ascent import Ascent
from expunge.methods.grad_diff import GradDiff


def test_loss_is_the_weighted_difference_of_means_over_rows(people: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if: a sign or weight is lost, the weights change places, or long rows weigh more."""
    seen = people.spied(GradDiff(forget_weight=2.0, retain_weight=3.0), monkeypatch)
    forget = mean_over_rows([nll(row) for row in plain(seen.moved, seen.step.forget)])
    retain = mean_over_rows([nll(row) for row in plain(seen.moved, seen.step.retain)])
    assert seen.loss == pytest.approx(-2.0 * forget + 3.0 * retain, rel=1e-5)


def test_forgets_and_keeps(people: Tiny, clouds: Tiny) -> None:
    """Fails if: a term's sign is turned over, or one of the splits is not read."""
    people.removes(GradDiff, {"batch_size": 4}, forget=0.5, retain=0.7)
    clouds.removes(GradDiff, {"batch_size": 4}, forget=0.1, retain=0.9)


def test_keeps_where_ascent_collapses(people: Tiny) -> None:
    """The paper's claim: 60 steps of ascent leave nothing. Fails if: the retain term is lost."""
    settings = {"lr": 5e-4, "batch_size": 4, "epochs": 20}
    assert people.after(build(Ascent, settings, where="test")).retain <= 0.2
    assert people.after(build(GradDiff, settings, where="test")).retain >= 0.8
