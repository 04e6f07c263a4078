"""A mask from any locator holds under a method: what moves, and what must not, bit for bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from locator_models import text

from expunge.contract.apply import locate, unlearn
from expunge.contract.job import Job
from expunge.contract.weights import snapshot
from expunge.engine.descend import Descent
from expunge.engine.loop import Masked, optimise
from expunge.facts.errors import ContractBroken
from expunge.locators.magnitude import Magnitude
from expunge.locators.one_shot_pruning import OneShotPruning
from expunge.locators.random import Random
from expunge.locators.saliency import Saliency
from expunge.locators.weight_attribution import WeightAttribution
from expunge.methods.npo import NPO

METHOD = NPO(descent=Descent(lr=1e-2, epochs=3, batch_size=2, weight_decay=0.5))


@pytest.mark.parametrize(
    "locator", [Saliency(), WeightAttribution(), Random(), Magnitude()], ids=lambda u: type(u).__name__
)
def test_masked_weights_do_not_move_under_momentum_and_weight_decay(locator: Any) -> None:
    """Published code multiplies gradients by the mask only; AdamW then decays and drifts the masked weights.

    Fails if the optimiser loop does not put masked entries back after each step.
    """
    model, splits = text()
    before = snapshot(model.module)
    mask = locate(locator, model, splits)
    found, facts = unlearn(METHOD, model, splits, job=Job(mask=mask))
    moved = 0
    for name, parameter in found.module.named_parameters():
        free = mask.entries[name]
        assert torch.equal(parameter[~free], before[name][~free]), name
        moved += int((parameter[free] != before[name][free]).sum())
    assert facts.moved_entries == moved
    assert moved > 0.5 * sum(int(entry.sum()) for entry in mask.entries.values())


def test_zeroed_gradients_alone_do_not_hold_a_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same run with the published way: the harness sees entries outside the mask move. Fails if it does not look."""
    model, splits = text()
    mask = locate(Saliency(), model, splits)
    monkeypatch.setattr(Masked, "weights", lambda self: None)
    with pytest.raises(ContractBroken, match="outside its scope or mask"):
        unlearn(METHOD, model, splits, job=Job(mask=mask))


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_a_mask_holds_in_either_optimiser(kind: str) -> None:
    """Fails if SGD's momentum or decay, or AdamW's, moves a masked entry."""
    model, splits = text()
    before = snapshot(model.module)
    mask = locate(Random(), model, splits)
    batch = model.pack(splits.rows["forget"])
    steps = [lambda: model.total_loss(batch).mean()] * 5
    optimise(
        model.module,
        steps,
        total=5,
        job=Job(mask=mask),
        label="t",
        lr=0.05,
        weight_decay=0.3,
        momentum=0.9,
        kind=kind,
    )
    moved = 0
    for name, parameter in model.module.named_parameters():
        free = mask.entries[name]
        assert torch.equal(parameter[~free], before[name][~free]), name
        moved += int((parameter[free] != before[name][free]).sum())
    assert moved > 0


def test_pruned_weights_stay_zero_under_momentum_and_weight_decay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a gradient brings a pruned weight back, or the harness does not look."""
    model, splits = text()
    mask = locate(OneShotPruning(sparsity=0.6), model, splits)
    found, facts = unlearn(METHOD, model, splits, job=Job(mask=mask))
    zeros = {name: int((~entry).sum()) for name, entry in mask.entries.items()}
    for name, parameter in found.module.named_parameters():
        assert not parameter[~mask.entries[name]].any(), name
    assert facts.notes["pruned_entries"] == sum(zeros.values()) > 0
    assert facts.moved_entries > sum(zeros.values())
    # zeros without a gradient have no momentum, and decay leaves them: only a loop that masks nothing brings them back
    monkeypatch.setattr(Masked, "weights", lambda self: None)
    monkeypatch.setattr(Masked, "gradients", lambda self: None)
    with pytest.raises(ContractBroken, match="outside its scope or mask"):
        unlearn(METHOD, model, splits, job=Job(mask=mask))
