from __future__ import annotations

import pytest
import torch
from tiny_problems import Tiny, mean_over_rows, nll, plain

from expunge.methods.kl_retain import KLRetain


def test_loss_on_scored_positions_not_prompt_or_padding(people: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """The standard framework averages KL over prompt and padding positions too.

    Expected from one plain forward a row, answer positions only. Fails if: any other position enters the mean, KL is
    taken under the model instead of the frozen target, or the frozen copy moves with the model (KL would be 0).
    """
    seen = people.spied(KLRetain(forget_weight=2.0, retain_weight=3.0), monkeypatch)
    push = mean_over_rows([nll(row) for row in plain(seen.moved, seen.step.forget)])
    pairs = zip(plain(people.target, seen.step.retain), plain(seen.moved, seen.step.retain), strict=True)
    kl = []
    for (frozen, _), (moved, _) in pairs:
        q, p = torch.softmax(frozen, -1), torch.softmax(moved, -1)
        kl.append((q * (q / p).log()).sum(-1))
    assert mean_over_rows(kl) > 0.01
    assert seen.loss == pytest.approx(-2.0 * push + 3.0 * mean_over_rows(kl), rel=1e-4)


def test_prompt_length_does_not_dilute(people: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if: the mean is over all positions: the retain term would then shrink with the number of retain positions.

    The same rows give the same loss when packed for a model that takes plain padded rows.
    """
    packed = people.spied(KLRetain(), monkeypatch)
    monkeypatch.setattr(people.target, "packed", False)
    padded = people.spied(KLRetain(), monkeypatch)
    assert padded.step.joint.positions != packed.step.joint.positions
    assert padded.loss == pytest.approx(packed.loss, rel=1e-4)


def test_forgets_and_keeps(people: Tiny, clouds: Tiny) -> None:
    """Fails if: a term's sign is turned over, or one of the splits is not read."""
    people.removes(KLRetain, {"batch_size": 4}, forget=0.5, retain=0.8)
    clouds.removes(KLRetain, {"batch_size": 4}, forget=0.2, retain=0.9)
