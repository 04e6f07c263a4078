"""Closed-form edits stay inside scope and mask."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from expunge.contract.job import Job
from expunge.contract.mask import Mask
from expunge.engine.edit import write

ENTRY = torch.tensor([True, False, True])


@pytest.mark.parametrize(
    ("scope", "mask", "wanted"),
    [
        ({"w"}, None, [7.0, 8.0, 9.0]),
        ({"w"}, Mask({"w": ENTRY}), [7.0, 2.0, 9.0]),
        ({"v"}, None, [1.0, 2.0, 3.0]),
        ({"w"}, Mask({"v": ENTRY}), [1.0, 2.0, 3.0]),
        ({"v"}, Mask({"w": ENTRY}), [1.0, 2.0, 3.0]),
    ],
    ids=["in scope", "masked", "out of scope", "no entry in the mask", "masked but out of scope"],
)
def test_write(scope: set[str], mask: Mask | None, wanted: list[float]) -> None:
    """Fails if an entry that scope or mask holds is written, or a free one is not."""
    parameter = nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))
    storage = parameter.data_ptr()
    write(Job(scope=frozenset(scope), mask=mask), "w", parameter, torch.tensor([7.0, 8.0, 9.0]))
    assert parameter.tolist() == wanted
    assert parameter.requires_grad
    assert parameter.data_ptr() == storage
