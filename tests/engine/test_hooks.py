"""Outputs of named modules."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from expunge.engine.hooks import output_at, outputs_of


def test_outputs_of_several_modules_come_from_one_forward() -> None:
    """Fails if a forward is run a module, a hook stays behind, gradients are cut, or a module that never ran is passed over."""
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    x, runs = torch.ones(1, 2), []
    found = outputs_of(net, ("0", "2"), lambda: runs.append(net(x)))
    assert len(runs) == 1
    assert torch.equal(found["0"], net[0](x))
    assert torch.equal(found["2"], net(x))
    assert torch.equal(found["0"], output_at(net, "0", lambda: net(x)))
    assert found["2"].requires_grad
    assert not any(module._forward_hooks for module in net)
    with pytest.raises(ValueError, match="never ran '2'"):
        outputs_of(net, ("0", "2"), lambda: net[0](x))
    assert not any(module._forward_hooks for module in net)
