"""Which entries may move."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from expunge.contract.mask import Mask, moved_outside
from expunge.contract.weights import moved_entries, not_finite, snapshot, weights_digest

FIRST = torch.tensor([[True, False], [False, False]])


def net() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(2, 2)


def test_density_by_hand() -> None:
    """1 of 4 and 2 of 2: 3/6. Fails if densities of tensors are averaged instead of entries counted."""
    assert Mask({"weight": FIRST, "bias": torch.tensor([True, True])}).density() == 0.5
    assert Mask({}).density() == 0.0


def test_only_booleans_and_only_a_scope() -> None:
    """Fails if a mask of weights 0/1 in floats passes, or a scope leaves entries outside it free."""
    with pytest.raises(ValueError, match="not bool"):
        Mask({"weight": FIRST.float()})
    assert set(Mask({"weight": FIRST, "bias": FIRST[0]}).within(frozenset({"bias", "other"})).entries) == {"bias"}


@pytest.mark.parametrize(
    ("place", "scope", "mask", "wrong"),
    [
        ((0, 0), {"weight"}, Mask({"weight": FIRST}), []),
        ((0, 1), {"weight"}, Mask({"weight": FIRST}), ["weight"]),
        ((0, 0), {"bias"}, None, ["weight"]),
        ((0, 0), {"weight"}, None, []),
        ((0, 0), {"weight", "bias"}, Mask({"bias": FIRST[0]}), ["weight"]),
    ],
    ids=["free entry", "held entry", "outside scope", "no mask", "no entry in the mask"],
)
def test_moved_outside(place: tuple[int, int], scope: set[str], mask: Mask | None, wrong: list[str]) -> None:
    """Fails if one entry in a held place goes unseen, or a parameter without a mask entry counts as free."""
    module = net()
    before = snapshot(module)
    with torch.no_grad():
        module.weight[place] += 1e-6
    assert moved_outside(before, module, frozenset(scope), mask) == wrong
    assert moved_entries(before, module) == 1


def test_weights_digest_is_of_names_and_values() -> None:
    """Fails if one changed bit, another dtype or another name keeps the digest, or a copy changes it."""
    module = net()
    digest = weights_digest(module)
    assert weights_digest(net()) == digest
    assert weights_digest(nn.Sequential(net())) != digest
    assert weights_digest(net().bfloat16()) != digest
    with torch.no_grad():
        module.bias[0] = torch.nextafter(module.bias[0], torch.tensor(9.0))
    assert weights_digest(module) != digest


def test_buffers_and_scalars_enter_the_digest() -> None:
    """Fails if running statistics or a 0-d entry (num_batches_tracked) are left out or break it."""
    first, second = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    assert weights_digest(first) == weights_digest(second)
    assert second.num_batches_tracked is not None
    second.num_batches_tracked += 1
    assert weights_digest(first) != weights_digest(second)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_not_finite_names_the_parameter(value: float) -> None:
    """Fails if NaN or an infinity of either sign passes for a weight."""
    module = net()
    assert not_finite(module) == []
    with torch.no_grad():
        module.bias[1] = value
    assert not_finite(module) == ["bias"]


def test_a_pruning_mask_zeroes_its_held_entries_and_stays_one_within_a_scope() -> None:
    """Three of four entries of the weight, none of the bias. Fails if free entries are zeroed, a parameter without an entry is, or a scope
    forgets that the mask prunes."""
    module = net()
    first, bias = float(module.weight.detach()[0, 0]), module.bias.tolist()
    mask = Mask({"weight": FIRST, "other": FIRST}, prunes=True).within(frozenset({"weight", "bias"}))
    assert mask.prune(module) == 3
    assert module.weight.flatten().tolist() == [first, 0.0, 0.0, 0.0]
    assert module.bias.tolist() == bias
    assert Mask({"weight": ~FIRST}).prune(module) == 0
    assert float(module.weight.detach()[0, 0]) == first


def test_pruned_entries_must_be_zero_and_not_what_they_were() -> None:
    """Fails if a pruned entry may come back, or setting it to zero counts as a forbidden move."""
    module, mask = net(), Mask({"weight": FIRST, "bias": FIRST[0]}, prunes=True)
    before = snapshot(module)
    scope = frozenset({"weight", "bias"})
    assert moved_outside(before, module, scope, mask) == ["weight", "bias"]
    mask.prune(module)
    assert moved_outside(before, module, scope, mask) == []
    with torch.no_grad():
        module.weight[1, 1] = before["weight"][1, 1]
    assert moved_outside(before, module, scope, mask) == ["weight"]
    assert moved_outside(before, module, frozenset({"weight"}), mask) == ["weight", "bias"]
