"""Losses a position, worked by hand."""

from __future__ import annotations

import math

import pytest
import torch

from expunge.maths.losses import position_nll, saturation_importance, soft_cross_entropy

LOGITS = torch.log(torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]]))


def test_position_nll_is_minus_log_probability() -> None:
    """-log .25 and -log .7. Fails if: another class than the target is read."""
    assert position_nll(LOGITS, torch.tensor([1, 2])).tolist() == pytest.approx([math.log(4), -math.log(0.7)])


def test_position_nll_is_float32_for_half_precision_logits() -> None:
    """Fails if: the logarithm is taken in bfloat16 (about 3 digits)."""
    exact = LOGITS.bfloat16().float()
    want = exact.logsumexp(-1) - exact[:, 0]
    assert position_nll(LOGITS.bfloat16(), torch.tensor([0, 0])).tolist() == pytest.approx(want.tolist(), rel=1e-6)


def test_soft_cross_entropy() -> None:
    """Half on class 0, half on class 1: -(.5 log .5 + .5 log .25) = 1.5 log 2. Fails if: the sum becomes a mean."""
    wanted = torch.tensor([[0.5, 0.5, 0.0]])
    assert soft_cross_entropy(LOGITS[:1], wanted).item() == pytest.approx(1.5 * math.log(2))


def test_saturation_importance() -> None:
    """p = .5: .5^2 * .5^1 = .125; p = .1: .01 * .9 = .009. Fails if: the powers change places."""
    nll = -torch.log(torch.tensor([0.5, 0.1]))
    assert saturation_importance(nll, 2.0, 1.0).tolist() == pytest.approx([0.125, 0.009])


def test_no_gradient_flows_through_the_weight() -> None:
    """d/dnll of w nll is w = p = .5. Fails if: the weight is not detached (the gradient would be p (1 - nll))."""
    nll = torch.tensor([math.log(2)], requires_grad=True)
    (saturation_importance(nll, 1.0, 0.0) * nll).sum().backward()
    assert nll.grad is not None
    assert nll.grad.item() == pytest.approx(0.5)
