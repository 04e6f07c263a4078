from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from expunge.contract.job import Job
from expunge.contract.weights import weights_digest
from expunge.engine.block_lora import (
    block_lora,
    class_means,
    feed_forward_maps,
    few_of_each,
    group_lasso,
    merge,
    short_of,
)
from expunge.engine.stage_training import LowRank
from expunge.facts.errors import InputError
from expunge.facts.rows import Row, Rows
from expunge.modalities.arrays import ArrayModel
from expunge.modalities.vision import Images, vision_model


def small(network: str = "vit", **arguments: int) -> ArrayModel:
    given = {"width": 8, "heads": 2, "patch": 4, "depth": 7, **arguments} if network == "vit" else arguments
    return vision_model(network, images=Images(shape=(1, 8, 8)), classes=3, seed=0, **given)


def row(number: int, label: int) -> Row:
    image = torch.full((8, 8), 0.1 * number).numpy()
    return Row(id=f"row-{number}", fields={"image": image, "label": label})


def factors(down: list[float], up: list[float]) -> LowRank:
    change = LowRank(torch.zeros(len(up), len(down)), 1, torch.Generator())
    change.down, change.up = nn.Parameter(torch.tensor([down])), nn.Parameter(torch.tensor(up)[:, None])
    return change


def test_every_block_is_a_group_and_only_its_feed_forward_maps_change() -> None:
    """Published code for streams writes out six blocks. Fails if: the seventh is left out, or a map of attention comes in."""
    model = small()
    maps = feed_forward_maps(model)
    assert maps == {f"blocks.{i}": [f"blocks.{i}.feed_forward.0", f"blocks.{i}.feed_forward.2"] for i in range(7)}
    assert feed_forward_maps(small("mlp", depth=2)) == {f"blocks.{i}": [f"blocks.{i}.linear"] for i in range(2)}
    with pytest.raises(InputError, match="no block of this network holds a linear map"):
        feed_forward_maps(small("cnn"))


def test_the_lasso_is_a_length_a_block_and_its_gradient_at_zero_is_zero() -> None:
    """(3, 4) and (0, 12, 5) have lengths 5 and 13; the root of a sum of squares has the gradient NaN at a block of zeros.

    Fails if: lengths are squared, taken a matrix (3 + 4 + 12 + 5), or over all blocks together.
    """
    groups = {"a": {"x": factors([3.0], [4.0])}, "b": {"x": factors([0.0], [12.0]), "y": factors([5.0], [0.0])}}
    assert float(group_lasso(groups).detach()) == pytest.approx(18.0)
    nothing = factors([0.0, 0.0], [0.0])
    group_lasso({**groups, "c": {"x": nothing}}).backward()  # type: ignore[no-untyped-call]
    assert nothing.down.grad is not None
    assert nothing.down.grad.tolist() == [[0.0, 0.0]]
    first = groups["a"]["x"]
    assert first.down.grad is not None
    assert first.down.grad.item() == pytest.approx(0.6)


def test_a_bounded_loss_ends_at_its_bound() -> None:
    """Fails if: it is pushed past the bound, or the sign is turned."""
    below, above = torch.tensor(1.5, requires_grad=True), torch.tensor(2.5, requires_grad=True)
    for share in (below, above):
        found = short_of(2.0, share)
        found.backward()  # type: ignore[no-untyped-call]
        assert float(found.detach()) == pytest.approx(max(0.0, 2.0 - float(share.detach())))
    assert (float(below.grad or 0), float(above.grad or 0)) == (-1.0, 0.0)


def test_a_change_is_merged_and_one_of_next_to_nothing_is_dropped() -> None:
    """Fails if: a dropped block moves, the change is not up @ down, or anything else than the two maps moves."""
    model = small(depth=2)
    before = {name: parameter.detach().clone() for name, parameter in model.module.named_parameters()}
    with block_lora(model, 2, 0) as groups:
        assert sum(p.requires_grad for p in model.module.parameters()) == 8
        with torch.no_grad():
            groups["blocks.0"]["blocks.0.feed_forward.2"].up += 0.5
            groups["blocks.1"]["blocks.1.feed_forward.0"].up += 1e-4
    assert weights_digest(model.module) == weights_digest(small(depth=2).module)
    sizes = merge(model, Job(scope=frozenset(before)), groups)
    change = groups["blocks.0"]["blocks.0.feed_forward.2"]
    name = "blocks.0.feed_forward.2.weight"
    added = (change.up @ change.down).detach()
    whole = math.sqrt(sum(float(before[f"blocks.0.feed_forward.{i}.weight"].square().sum()) for i in (0, 2)))
    assert sizes == {"blocks.0": pytest.approx(float(added.norm()) / whole), "blocks.1": 0.0}
    for own, parameter in model.module.named_parameters():
        wanted = before[own] + added if own == name else before[own]
        assert torch.equal(parameter, wanted), own


def test_few_of_each_and_class_means_by_hand() -> None:
    """Fails if: few counts all classes together, the same rows come under every seed, or a mean divides by all rows."""
    rows = Rows(tuple(row(i, label) for i, label in enumerate((0, 0, 0, 0, 0, 2, 2))))
    drawn = [few_of_each(rows, 2, seed) for seed in range(8)]
    assert all([one["label"] for one in some] == [0, 0, 2, 2] for some in drawn)
    assert len({some.ids for some in drawn}) > 1
    assert few_of_each(rows, 0, 0) is rows
    model = small(depth=1)
    means = class_means(model, (rows[:3], rows[3:]), 3)
    with torch.no_grad():
        logits = model.module(model.pack(rows).inputs["x"])
    assert torch.allclose(means[0], logits[:5].mean(0), atol=1e-5)
    assert torch.allclose(means[2], logits[5:].mean(0), atol=1e-5)
    assert bool(means[1].isnan().all())
