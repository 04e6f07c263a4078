from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from tiny_problems import Tiny, mean_over_rows

from expunge.facts.errors import InputError
from expunge.methods.rmu import RMU, control_vector, squared_distance


def test_squared_distance_by_hand() -> None:
    """(1, 2) to (3, 2): (4 + 0) / 2 = 2. Fails if: the width is summed, or positions are averaged."""
    found = squared_distance(torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[3.0, 2.0], [1.0, 1.0]]))
    assert found.tolist() == [2.0, 1.0]


def test_control_vector_has_its_length_and_follows_the_seed() -> None:
    """Fails if: the draw is not normalised, is signed, or ignores the seed."""
    first, again, other = (control_vector(64, 6.5, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert first.norm().item() == pytest.approx(6.5, rel=1e-5)
    assert bool((first >= 0).all())
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@torch.no_grad()
def states(model: Any, rows: Any, block: int) -> list[torch.Tensor]:
    """Hidden states behind a block at scored positions, a whole plain forward a row."""
    found = []
    for row in rows:
        code = model.tokens.encode(row["prompt"], row["answer"])
        hidden = model.module(input_ids=torch.tensor([code.ids]), output_hidden_states=True).hidden_states
        found.append(hidden[block + 1][0, code.first - 1 : -1])
    return found


def test_loss_steers_forget_and_holds_retain(people: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if: another block is read, frozen features are taken after the model moved, or rows are mixed up."""
    seen = people.spied(RMU(depth=0.5, steering=3.0, forget_weight=2.0, retain_weight=5.0), monkeypatch)
    assert seen.job.notes["site"] == "model.layers.0"
    control = control_vector(64, 3.0, torch.Generator().manual_seed(0))
    push = mean_over_rows([(h - control).square().mean(-1) for h in states(seen.moved, seen.step.forget, 0)])
    pairs = zip(states(people.target, seen.step.retain, 0), states(seen.moved, seen.step.retain, 0), strict=True)
    keep = mean_over_rows([(now - before).square().mean(-1) for before, now in pairs])
    assert seen.loss == pytest.approx(2.0 * push + 5.0 * keep, rel=1e-4)


@pytest.mark.parametrize(("depth", "layers", "index"), [(0.25, 32, 7), (0.5, 2, 0), (1.0, 2, 1), (0.01, 4, 0)])
def test_depth_names_a_block(depth: float, layers: int, index: int) -> None:
    """A quarter of 32 is the paper's layer 7. Fails if: the index is off by one."""

    class Deep:
        @staticmethod
        def sites() -> Any:
            return type("Sites", (), {"blocks": tuple(f"layers.{i}" for i in range(layers))})

    assert RMU(depth=depth)._site(Deep()) == f"layers.{index}"  # type: ignore[arg-type]


def test_without_blocks_or_a_name_it_is_refused() -> None:
    """Fails if: a model without named blocks ends in an index error."""

    class Flat:
        @staticmethod
        def sites() -> Any:
            return type("Sites", (), {"blocks": ()})

    with pytest.raises(InputError, match="names no blocks"):
        RMU()._site(Flat())  # type: ignore[arg-type]


def test_nothing_above_the_site_runs_or_moves(people: Tiny) -> None:
    """The standard framework runs and differentiates the whole model. Fails if: block 1 or the head runs or moves."""
    ran: list[str] = []
    names = [name for name, _ in people.target.module.named_modules() if name.startswith(("model.layers.1", "lm_head"))]
    hooks = [
        people.target.module.get_submodule(name).register_forward_hook(lambda *_, name=name: ran.append(name))
        for name in names
    ]
    model, _ = people.run(RMU(depth=0.5))
    for hook in hooks:
        hook.remove()
    before, after = (dict(one.module.named_parameters()) for one in (people.target, model))
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert names
    assert not ran
    assert moved
    assert not any(name.startswith(("model.layers.1", "lm_head", "model.norm")) for name in moved)


def test_retain_rows_used_are_those_that_ride_along(people: Tiny) -> None:
    """Frozen features are computed for the rows that training draws. Fails if: a drawn row is missing (KeyError)."""
    assert math.isfinite(people.after(RMU()).retain_loss)


def test_forgets_and_keeps(people: Tiny) -> None:
    """Fails if: forget and retain rows change places, or the retain term is lost."""
    people.removes(RMU, {"batch_size": 4}, forget=0.4, retain=0.8)
