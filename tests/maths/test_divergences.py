"""Divergences between predictions, worked by hand."""

from __future__ import annotations

import math

import pytest
import torch

from expunge.maths.divergences import kl_divergence

HALF = torch.log(torch.tensor([[0.5, 0.5]]))
SKEW = torch.log(torch.tensor([[0.9, 0.1]]))


def test_kl_is_taken_under_the_frozen_model() -> None:
    """KL(half || skew) = .5 log(.5/.9) + .5 log(.5/.1) = log(5/3) = .5108; the other way round it is .3681.

    Fails if: the arguments change places.
    """
    assert kl_divergence(HALF, SKEW).item() == pytest.approx(math.log(5 / 3), rel=1e-5)
    assert kl_divergence(SKEW, HALF).item() == pytest.approx(0.9 * math.log(1.8) + 0.1 * math.log(0.2), rel=1e-5)


def test_kl_is_one_sum_a_position_and_zero_for_equals() -> None:
    """Fails if: the sum over classes becomes a mean, or positions are averaged."""
    both = kl_divergence(torch.cat([HALF, SKEW]), torch.cat([SKEW, SKEW]))
    assert both.tolist() == pytest.approx([math.log(5 / 3), 0.0], abs=1e-6)


def test_temperature_softens_both_and_scales_by_its_square() -> None:
    """T = 2: (.9, .1) becomes (3/4, 1/4), half stays; 4 KL = 4 (.5 log(2/3) + .5 log 2) = 2 log(4/3).

    Fails if: the factor T^2 is left out, or only one side is softened.
    """
    assert kl_divergence(HALF, SKEW, 2.0).item() == pytest.approx(2 * math.log(4 / 3), rel=1e-5)
