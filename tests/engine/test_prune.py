"""What is pruned, and what is never."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from expunge.contract.mask import Mask
from expunge.engine.prune import check_sparsity, prunable, pruning_mask, zeros_held
from expunge.facts.errors import InputError


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(4, 3)
        self.inner, self.norm, self.head = nn.Linear(3, 3), nn.LayerNorm(3), nn.Linear(3, 4, bias=False)
        self.patches = nn.Conv2d(1, 2, 2)
        self.head.weight = self.words.weight


def test_only_weights_of_linear_maps_and_convolutions_are_pruned() -> None:
    """Fails if a bias, a norm, an embedding or a head that is tied to it can be pruned, or a convolution cannot."""
    assert set(prunable(Tied())) == {"inner.weight", "patches.weight"}
    with pytest.raises(InputError, match="pruning needs"):
        prunable(nn.LayerNorm(3))


def test_the_lowest_share_of_all_together_is_pruned() -> None:
    """Of 4 + 4 entries scored 1..8 the lowest six. Fails if each parameter loses its share, or what has no score is held or pruned."""
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    scores = {f"{i}.weight": torch.arange(1.0, 5.0).view(2, 2) + 4 * i for i in (0, 1)}
    mask = pruning_mask(module, scores, 0.75)
    assert mask.prunes
    assert mask.entries["0.weight"].tolist() == [[False, False], [False, False]]
    assert mask.entries["1.weight"].tolist() == [[False, False], [True, True]]
    assert mask.entries["0.bias"].tolist() == mask.entries["1.bias"].tolist() == [True, True]


@pytest.mark.parametrize("sparsity", [0.0, 1.0, 95.0, -0.1])
def test_a_sparsity_is_a_share(sparsity: float) -> None:
    """Fails if 95 (a percentage) is taken, or all weights may go."""
    with pytest.raises(ValueError, match="sparsity"):
        check_sparsity(sparsity)


def test_zeros_are_held_within_the_mask() -> None:
    """W = [[0, 2], [3, 4]], b = (0, 1). Fails if a bias at zero is held, a mask's entry is freed, or what it leaves out may move."""
    module = nn.Linear(2, 2)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[0.0, 2.0], [3.0, 4.0]]))
        module.bias.copy_(torch.tensor([0.0, 1.0]))
    free = zeros_held(module)
    assert not free.prunes
    assert {name: entry.tolist() for name, entry in free.entries.items()} == {
        "weight": [[False, True], [True, True]], "bias": [True, True],
    }  # fmt: skip
    inside = zeros_held(module, Mask({"weight": torch.tensor([[True, False], [True, True]])}))
    assert {name: entry.tolist() for name, entry in inside.entries.items()} == {
        "weight": [[False, False], [True, True]]
    }
