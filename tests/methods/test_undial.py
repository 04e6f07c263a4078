from __future__ import annotations

import math

import pytest
import torch
from tiny_problems import Tiny, mean_over_positions, nll, plain

from expunge.methods.undial import UNDIAL, undial_loss


def test_formula_by_hand() -> None:
    """Frozen (.8, .1, .1), target 0 lowered by log 8: wanted (1/3, 1/3, 1/3); model (.5, .25, .25).

    -(1/3)(log .5 + 2 log .25) = (5/3) log 2. Fails if: the target is raised, or lowered by a factor of its logit.
    """
    frozen, model = (torch.log(torch.tensor([p])) for p in ((0.8, 0.1, 0.1), (0.5, 0.25, 0.25)))
    assert undial_loss(model, frozen, torch.tensor([0]), math.log(8)).item() == pytest.approx(5 / 3 * math.log(2))


def test_loss_on_scored_forget_positions_only(people: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """The standard framework averages over prompt and padding positions too.

    Fails if: any position but the answer's enters the mean, or the frozen logits move with the model.
    """
    seen = people.spied(UNDIAL(strength=4.0, forget_weight=2.0, retain_weight=3.0), monkeypatch)
    own = []
    pairs = zip(plain(people.target, seen.step.forget), plain(seen.moved, seen.step.forget), strict=True)
    for (frozen, targets), (moved, _) in pairs:
        lowered = frozen.clone()
        lowered[torch.arange(len(targets)), targets] -= 4.0
        own.append(-(torch.softmax(lowered, -1) * torch.log_softmax(moved, -1)).sum(-1))
    keep = mean_over_positions([nll(row) for row in plain(seen.moved, seen.step.retain)])
    assert seen.loss == pytest.approx(2.0 * mean_over_positions(own) + 3.0 * keep, rel=1e-4)


def test_forgets_and_keeps(people: Tiny, clouds: Tiny) -> None:
    """Fails if: the target is raised instead of lowered, or one of the splits is not read."""
    people.removes(UNDIAL, {"batch_size": 4}, forget=0.5, retain=0.85)
    clouds.removes(UNDIAL, {"batch_size": 4}, forget=0.2, retain=0.9)


def test_does_not_run_away(people: Tiny) -> None:
    """The paper's claim: three times the epochs still converge. Fails if: the wanted distribution follows the model."""
    people.removes(UNDIAL, {"batch_size": 4, "epochs": 30}, forget=0.3, retain=0.9)
