from __future__ import annotations

import pytest
import torch
from tiny_problems import Tiny, mean_over_positions, nll, plain

from expunge.contract.registry import build
from expunge.methods.pdu import PDU, dual_step, logit_flatness


def test_flatness_by_hand() -> None:
    """(3, 0, 0): max 3, mean 1, (3 - 1)^2 = 4; equal logits: 0. Fails if: the square is lost or the minimum is read."""
    assert logit_flatness(torch.tensor([[3.0, 0.0, 0.0], [2.0, 2.0, 2.0]])).tolist() == [4.0, 0.0]


def test_dual_step_by_hand() -> None:
    """Broken by .5 at step 2: 10 -> 11; kept by .5: 10 -> 9; never below 0. Fails if: the sign or the floor is lost."""
    assert dual_step(10.0, 1.5, 1.0, 2.0) == 11.0
    assert dual_step(10.0, 0.5, 1.0, 2.0) == 9.0
    assert dual_step(0.5, 0.5, 1.0, 2.0) == 0.0


def test_loss_bound_and_dual_variable(people: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if: the bound is measured on the moved model, slack is left out, or the dual moves before its epoch."""
    method = PDU(dual=7.0, dual_size=2.0, slack=0.5, warmup_epochs=3)
    seen = people.spied(method, monkeypatch, epoch=2)
    flat = [(z.max(-1).values - z.mean(-1)) ** 2 for z, _ in plain(seen.moved, seen.step.forget)]
    keep = mean_over_positions([nll(row) for row in plain(seen.moved, seen.step.retain)])
    assert seen.loss == pytest.approx(mean_over_positions(flat) + 7.0 * keep, rel=1e-4)
    bound = 0.5 + mean_over_positions([nll(row) for row in plain(people.target, people.retain)])
    assert seen.job.notes["retain_bound"] == pytest.approx(bound, rel=1e-4)
    assert seen.job.notes["dual"] == 7.0
    later = people.spied(method, monkeypatch, epoch=3)
    keep = mean_over_positions([nll(row) for row in plain(later.moved, later.step.retain)])
    assert later.job.notes["dual"] == pytest.approx(max(0.0, 7.0 + 2.0 * (keep - bound)), rel=1e-4)


def test_forgets_within_the_bound(people: Tiny, clouds: Tiny) -> None:
    """After 30 epochs the retain loss stands under its bound, give or take .02. Fails if: the dual variable shrinks when
    the bound is broken, or the forget term sharpens predictions."""
    model, facts = people.run(build(PDU, {"batch_size": 4, "epochs": 30}, where="test"))
    after = people.knows(model)
    assert after.forget <= 0.3
    assert after.forget_loss > 2.0
    assert after.retain_loss < facts.notes["retain_bound"] + 0.02
    assert facts.notes["dual"] > 50.0
    clouds.removes(PDU, {"batch_size": 4}, forget=0.5, retain=0.9)
