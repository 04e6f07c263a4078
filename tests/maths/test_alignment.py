from __future__ import annotations

import math

import pytest
import torch

from expunge.maths.alignment import contrast, turned


def test_angles_by_hand() -> None:
    """Same direction 0, a right angle 1, opposite 2, whatever the lengths. Fails if: it is the cosine itself, or not normed."""
    now = torch.tensor([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]])
    before = torch.tensor([[1.0, 0.0], [1.0, 0.0], [5.0, 0.0]])
    assert turned(now, before).tolist() == pytest.approx([0.0, 1.0, 2.0])


def test_contrast_by_hand() -> None:
    """(0.1 + 0.3)/2 - log(e^(1/2) + e^(2/2)). Fails if: the sign turns, the temperature multiplies, or the sum is a mean."""
    found = contrast(torch.tensor([0.1, 0.3]), torch.tensor([1.0, 2.0]), 2.0)
    assert float(found) == pytest.approx(0.2 - math.log(math.exp(0.5) + math.exp(1.0)))
