from __future__ import annotations

import math

import pytest
import torch
from tiny_problems import Tiny, mean_over_positions, nll, plain

from expunge.contract.registry import build
from expunge.methods.ascent import Ascent
from expunge.methods.npo import NPO, npo_loss


def test_formula_by_hand() -> None:
    """Frozen nll 2, now 2 + log 3, beta 1: (2/1) log(1 + 1/3); unmoved at beta .1: 20 log 2.

    Fails if: 1/beta stands for 2/beta, or frozen and own losses change places.
    """
    value = npo_loss(torch.tensor([2 + math.log(3)]), torch.tensor([2.0]), 1.0)
    assert value.item() == pytest.approx(2 * math.log(4 / 3))
    assert npo_loss(torch.tensor([5.0]), torch.tensor([5.0]), 0.1).item() == pytest.approx(20 * math.log(2))


def test_gradient_is_ascents_at_the_target_and_dies_out() -> None:
    """d/dnll = -2 p^b / (p^b + q^b): -1 at the target, -2 * .01 / 1.01 at p = q/100 and beta 1.

    Fails if: the factor is 1/beta (the gradient at the target would be -1/2, not that of ascent).
    """
    total = torch.tensor([3.0, 3.0 + math.log(100)], requires_grad=True)
    npo_loss(total, torch.tensor([3.0, 3.0]), 1.0).sum().backward()
    assert total.grad is not None
    assert total.grad.tolist() == pytest.approx([-1.0, -0.02 / 1.01], rel=1e-4)


def test_loss_against_frozen_sums(people: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if: means over a row's tokens enter the ratio, or frozen numbers go to other rows or are taken too late."""
    seen = people.spied(NPO(beta=0.1, forget_weight=2.0, retain_weight=3.0), monkeypatch)
    pairs = zip(plain(people.target, seen.step.forget), plain(seen.moved, seen.step.forget), strict=True)
    ratios = [float(nll(frozen).sum() - nll(moved).sum()) for frozen, moved in pairs]
    push = sum(20.0 * math.log(1 + math.exp(0.1 * r)) for r in ratios) / len(ratios)
    keep = mean_over_positions([nll(row) for row in plain(seen.moved, seen.step.retain)])
    assert seen.loss == pytest.approx(2.0 * push + 3.0 * keep, rel=1e-4)


def test_no_second_model_where_numbers_suffice(people: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """The standard framework keeps a frozen model for ten epochs. Fails if: the method copies the model."""
    copies: list[int] = []
    real = type(people.target).copy

    def note(self: object) -> object:
        copies.append(1)
        return real(self)

    monkeypatch.setattr(type(people.target), "copy", note)
    people.run(NPO())
    assert len(copies) == 1  # the harness's own, so that the caller's model stays as it was


def test_forgets_and_keeps(people: Tiny, clouds: Tiny) -> None:
    """Fails if: a term's sign is turned over, or one of the splits is not read."""
    people.removes(NPO, {"batch_size": 4}, forget=0.4, retain=0.75)
    clouds.removes(NPO, {"batch_size": 4}, forget=0.1, retain=0.9)


def test_keeps_where_ascent_collapses(people: Tiny) -> None:
    """The paper's claim: 60 steps of ascent leave nothing. Fails if: the weight does not die out (1 - p instead of p)."""
    settings = {"lr": 5e-4, "batch_size": 4, "epochs": 20}
    assert people.after(build(Ascent, settings, where="test")).retain <= 0.2
    people.removes(NPO, settings, forget=0.5, retain=0.8)
