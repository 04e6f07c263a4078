from __future__ import annotations

import numpy as np
import pytest
import torch
from classifiers import mean_interval
from digits_seeds import REPORTED, at_rate, digits_of, gentlest, kept
from tiny_problems import Tiny, mean_over_rows, nll, plain

from expunge.contract.model import Model
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


@torch.no_grad()
def away(models: list[Model], split: str) -> np.ndarray:
    """Of each reported target: KL(target || model) in nats, mean over a split's rows."""
    found = []
    for seed, model in zip(REPORTED, models, strict=True):
        problem, _ = digits_of(seed)
        was, now = (one.logits(one.pack(problem.splits.rows[split])).log_softmax(-1) for one in (problem.target, model))
        found.append(float((was.exp() * (was - now)).sum(-1).mean()))
    return np.array(found)


@pytest.mark.slow
def test_claim_predictions_on_retain_rows_stay_no_nearer_than_by_gradient_difference() -> None:
    """The claim does not hold on a class of digits: five targets, KL(target || model) in nats, less that after gradient difference.

    At equal forgetting (lowest rates at which under 5% is left): -.004 [-.016, .009] of .026 on retain rows, -.007 [-.028, .014] of .061 on
    test rows. At four times that rate, both with a retain weight of 10: -.03 [-.30, .24] of .67, -.02 [-.32, .29] of 1.04. A target that is
    certain of its rows has predictions that are its labels. Nearer than ascent at that rate by 89 nats [73, 104].
    Fails if the divergence is not held.
    """
    gentle = (gentlest("kl_retain"), gentlest("grad_diff"))
    strong = (at_rate(1.6e-3, "kl_retain", retain_weight=10.0), at_rate(1.6e-3, "grad_diff", retain_weight=10.0))
    for models in (gentle, strong):
        assert max(kept(one, "forget").max() for one in models) <= 5
        for split in ("retain", "test"):
            held, free = (away(one, split) for one in models)
            print(split, held.mean(), free.mean(), found := mean_interval(held - free))
            assert found.low < 0 < found.high
    less = mean_interval(away(strong[0], "retain") - away(at_rate(1.6e-3, "ascent"), "retain"))
    print(less)
    assert less.high < 0
