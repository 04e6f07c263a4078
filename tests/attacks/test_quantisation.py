"""Rounding the weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from digits_seeds import come_out, gentlest, kept
from torch import nn

from expunge.attacks.quantisation import Quantisation, quantise, round_to_nearest
from expunge.contract.model import Sites
from expunge.modalities.text_build import new_text_model
from expunge.testbeds.text import world_tokenizer


def test_grid_by_hand() -> None:
    """Fails if the step is one for the whole matrix, the grid is lopsided, or rounding becomes truncation.

    3 bits: levels -3..3; row 0 has step 1 (max 3), row 1 step .1 (max .3); a row of zeros stays.
    """
    weight = torch.tensor([[3.0, -1.4, 0.6], [0.3, 0.04, -0.16], [0.0, 0.0, 0.0]])
    expected = torch.tensor([[3.0, -1.0, 1.0], [0.3, 0.0, -0.2], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(round_to_nearest(weight, 3, 0), expected)
    torch.testing.assert_close(round_to_nearest(weight.T, 3, 1), expected.T)


def test_error_is_half_a_step_at_most_and_bits_shrink_it() -> None:
    """Fails if weights are clipped, or 8 bits are no finer than 4."""
    weight = torch.randn(16, 64, generator=torch.Generator().manual_seed(0))
    for bits in (4, 8):
        step = weight.abs().amax(1, keepdim=True) / (2 ** (bits - 1) - 1)
        error = (round_to_nearest(weight, bits, 0) - weight).abs()
        assert bool((error <= step / 2 + 1e-7).all())
        assert len(round_to_nearest(weight, bits, 0)[0].unique()) <= 2**bits - 1


def gpt2() -> Any:
    sizes = {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 32}
    return new_text_model(world_tokenizer(), "gpt2", sizes, seed=0)


def test_conv1d_has_its_output_channels_last() -> None:
    """Fails if GPT-2's transposed weights are scaled along the wrong axis, or its tied head and embedding are rounded."""
    model = gpt2()
    before = {name: p.detach().clone() for name, p in model.module.named_parameters()}
    assert quantise(model, 4) == 4
    for name, after in model.module.named_parameters():
        if name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight")):
            assert after.shape != after.T.shape or "c_proj" in name
            torch.testing.assert_close(after, round_to_nearest(before[name], 4, 1))
            assert not torch.equal(after, before[name])
        else:
            assert torch.equal(after, before[name])


def test_the_head_keeps_its_precision() -> None:
    """Fails if the layer that sites() calls head is rounded, or convolutions are not."""
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4, 3))
    before = [p.detach().clone() for p in module.parameters()]

    class Model:
        def __init__(self) -> None:
            self.module = module

        def sites(self) -> Sites:
            return Sites(head=("2",))

    assert quantise(Model(), 2) == 1  # type: ignore[arg-type]
    assert torch.equal(module[2].weight, before[2])
    assert torch.equal(module[0].bias, before[1])
    torch.testing.assert_close(module[0].weight.detach(), round_to_nearest(before[0], 2, 0))


def test_any_width_counts_and_the_curve_has_each(verified: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if the last width alone counts, or a width quantises what another one already did."""
    told: list[int] = []

    def fake(model: Any, bits: int) -> int:
        told.append(bits)
        return 1

    n = len(verified.problem.splits.rows["forget"])
    answers = iter([np.eye(n)[0], np.eye(n)[1]])
    monkeypatch.setattr("expunge.attacks.quantisation.quantise", fake)
    monkeypatch.setattr("expunge.attacks.quantisation.successes", lambda *_: next(answers))
    found = verified.attack(Quantisation(item_control=False), "target")
    assert told == [8, 4]
    assert found.forget[:3] == (1.0, 1.0, 0.0)
    assert found.curve == ((8.0, 1 / n), (4.0, 1 / n))
    assert found.budget == "int8+int4"
    with pytest.raises(ValueError, match=r"widths in 2\.\.16"):
        Quantisation(bits=(1,))


def test_anchors(verified: Any) -> None:
    """Fails if rounding wipes out the target, or a retrained model gains by it (measured 1.0 against .075 and .037)."""
    assert np.mean(verified.attack(Quantisation(), "target").forget) > 0.9
    control = verified.attack(Quantisation(), "retrained-0")
    assert np.mean(control.forget) < 0.2
    assert len(control.item_control) == len(verified.problem.splits.rows["holdout"])
    assert np.mean(control.item_control) < 0.2


@pytest.mark.slow
def test_claim_a_class_does_not_come_back_at_few_bits() -> None:
    """The claim does not hold for a class of digits: five targets, each after the lowest rate at which under 5% of the threes is left.

    At 8, 4 and 2 bits at most 2.1% of them comes out after NPO and after gradient difference; of the targets all does, and at 2 bits 95% or
    more. Rounded to 4 bits 98.3% or more of the retain rows are right, to 2 bits 92.1 to 97.8%. A class goes by steps larger than the grid.

    Fails if rounding wipes out what is kept, brings back what is gone, or changes nothing.
    """
    unit = Quantisation(bits=(8, 4, 2), item_control=False)
    assert come_out(unit).min() > 0.9
    for method in ("npo", "grad_diff"):
        found = gentlest(method)
        assert come_out(unit, found).max() <= 0.05
        at_bits = {bits: [model.copy() for model in found] for bits in (4, 2)}
        assert all(quantise(model, bits) for bits, models in at_bits.items() for model in models)
        print(kept(found), kept(at_bits[4]), kept(at_bits[2]))
        assert kept(at_bits[4]).min() > 97
        assert kept(at_bits[2]).min() > 90
        assert (kept(at_bits[2]) < kept(found) - 1).all()
