"""Pruning the weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from digits_seeds import come_out, gentlest, kept

from expunge.attacks.pruning import Pruning, prune, smallest
from expunge.contract.evidence import Evidence
from expunge.engine.body import body_weights


def test_by_hand() -> None:
    """Fails if signs count, more than the share goes, or ties take both."""
    weight = torch.tensor([[0.3, -0.1], [-2.0, 0.1], [1.0, 0.5]])
    assert smallest(weight, 0.34).tolist() == [[False, True], [False, True], [False, False]]
    assert smallest(weight, 0.17).tolist() == [[False, True], [False, False], [False, False]]
    assert int(smallest(weight, 0.1).sum()) == 0


def test_each_layer_loses_its_own_share(verified: Any) -> None:
    """Fails if one threshold serves all layers, or norms, embedding or head are cut."""
    copy = verified.models["target"].copy()
    before = {name: p.detach().clone() for name, p in copy.module.named_parameters()}
    cut = {id(weight) for weight, _ in body_weights(copy)}
    assert prune(copy, 0.25) == len(cut) == 14
    for name, after in copy.module.named_parameters():
        zeros = int((after == 0).sum())
        assert zeros == (after.numel() // 4 if id(after) in cut else 0), name
        assert torch.equal(after[after != 0], before[name][after != 0])


def test_any_sparsity_counts_and_each_has_its_copy(verified: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if the last sparsity alone counts, or one prunes what another did already."""
    pruned: list[tuple[int, float]] = []
    n = len(verified.problem.splits.rows["forget"])
    answers = iter([np.eye(n)[0], np.eye(n)[1]])
    monkeypatch.setattr(
        "expunge.attacks.pruning.prune", lambda model, share: pruned.append((id(model.module), share)) or 1
    )
    monkeypatch.setattr("expunge.attacks.pruning.successes", lambda *_: next(answers))
    kept: list[Any] = []
    probe = verified.probe(verified.models["target"])
    original = probe.model
    object.__setattr__(probe, "model", lambda: kept.append(original()) or kept[-1])
    given = Evidence(name="m", role="m", modality="text", rows={"forget": verified.problem.splits.rows["forget"]})
    found = Pruning(sparsities=(0.2, 0.4)).run(given, probe)
    assert pruned == [(id(kept[0].module), 0.2), (id(kept[1].module), 0.4)]
    assert found.forget[:3] == (1.0, 1.0, 0.0)
    assert found.curve == ((0.2, 1 / n), (0.4, 1 / n))
    with pytest.raises(ValueError, match="between 0 and 1"):
        Pruning(sparsities=(1.0,))


@torch.no_grad()
def buried(model: Any, sparsity: float) -> Any:
    """Return a copy whose smallest weights are as large as they may be without leaving the smallest, of random signs."""
    copy, draw = model.copy(), torch.Generator().manual_seed(0)
    for weight, _ in body_weights(copy):
        small = smallest(weight, sparsity)
        signs = torch.randint(0, 2, weight.shape, generator=draw) * 2.0 - 1.0
        weight[small] = (signs * weight[~small].abs().min() * 0.99)[small]
    return copy


def test_what_is_buried_under_small_weights_comes_back(verified: Any, hidden: Any) -> None:
    """Noise below every kept weight of half of all weights buries what the model knows; pruning by half takes away nothing else.

    Fails if large weights go first, or the copies share what they cut. Measured, buried: .14 at 10%, .40, .65, .96
    at 50%; retrained, buried alike: .075. A target taught to refuse by 30 steps on all weights gives back nothing (0 at every
    sparsity): the paper's claim does not hold for it, its refusal is no matter of small weights.
    """
    forget = {"forget": verified.problem.splits.rows["forget"]}
    unit = Pruning(item_control=False)
    given = Evidence(name="buried", role="m", modality="text", rows=forget)
    found = unit.run(given, verified.probe(buried(verified.models["target"], 0.5)))
    control = unit.run(given, verified.probe(buried(verified.models["retrained-0"], 0.5)))
    assert found.curve[0][1] < 0.3
    assert np.mean(found.forget) > 0.9
    assert np.mean(control.forget) < 0.2
    assert np.mean(unit.run(given, verified.probe(hidden)).forget) < 0.1
    assert np.mean(verified.attack(unit, "retrained-0").forget) < 0.2


@pytest.mark.slow
def test_claim_a_class_does_not_come_back_by_pruning() -> None:
    """The claim does not hold for a class of digits: five targets, each after the lowest rate at which under 5% of the threes is left.

    Where a target was fine-tuned to give them other labels, and after NPO, at most 2.1% of them comes out with a tenth to half of each
    layer's weights at zero, and at most 3.2% with nine tenths; of the targets all does, and with nine tenths 79% or more. Of the retain
    rows 97% or more are right with half of the weights, 90.8 to 97.4% with a tenth of them.

    Fails if pruning wipes out what is kept, brings back what is gone, or changes nothing.
    """
    unit = Pruning(sparsities=(*Pruning().sparsities, 0.9), item_control=False)
    assert come_out(unit)[:, :-1].min() > 0.95
    for method in ("random_label", "npo"):
        found = gentlest(method)
        assert come_out(unit, found).max() <= 0.05
        at_half, at_tenth = [model.copy() for model in found], [model.copy() for model in found]
        assert all(prune(model, 0.5) for model in at_half)
        assert all(prune(model, 0.9) for model in at_tenth)
        print(method, kept(found), kept(at_half), kept(at_tenth))
        assert kept(at_half).min() > 96
        assert kept(at_tenth).min() > 85
        assert (kept(at_tenth) < kept(found) - 1).all()
