"""Stages: what is switched off, what is left of the weights, and which layers each stage trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from expunge.contract.job import Job
from expunge.engine import stage_training
from expunge.engine.ensembles import Ensemble
from expunge.engine.stage_training import groups_of, train_staged
from expunge.engine.staged import DOWN, UP, Staged, digest_of, load_staged, merged, save_staged
from expunge.facts.errors import InputError
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Row, Rows
from expunge.modalities.array_tasks import Classification
from expunge.modalities.arrays import ArrayModel
from expunge.modalities.tabular import Features, tabular_model

RECIPE = Recipe(epochs=2, lr=1e-2, batch_size=8, seed=3)


def base(depth: int = 3) -> ArrayModel:
    return tabular_model("mlp", features=Features(width=3), task=Classification(classes=2), width=6, depth=depth)


def rows(n: int = 60) -> Rows:
    return Rows(
        tuple(Row(id=f"x{i}", fields={"features": [i / n, i % 3 - 1.0, i % 5 / 5], "label": i % 2}) for i in range(n))
    )


def stage(value: float) -> dict[str, torch.Tensor]:
    return {
        f"w{DOWN}": torch.tensor([[1.0, value]]),
        f"w{UP}": torch.tensor([[value], [0.0]]),
        "b": torch.tensor([value]),
    }


def test_weights_by_hand() -> None:
    """w + (2, 0)^T (1, 2) + (3, 0)^T (1, 3): first row 1 + 2 + 3, 1 + 4 + 9. b is what the last stage says.

    Fails if: a stage takes the place of the one before it, up and down change places, or the base is changed.
    """
    given = {"w": torch.ones(2, 2), "b": torch.zeros(1), "c": torch.full((1,), 7.0)}
    found = merged(given, [stage(2.0), stage(3.0)])
    assert found["w"].tolist() == [[6.0, 14.0], [1.0, 1.0]]
    assert (found["b"].item(), found["c"].item()) == (3.0, 7.0)
    assert given["w"].tolist() == [[1.0, 1.0], [1.0, 1.0]]
    assert torch.equal(merged(given, [])["w"], given["w"])


def test_switching_off_drops_the_stage_and_all_later_ones() -> None:
    """Order 2, 0, 1. Slice 0 was read second: one of three stages is left; then slice 1 drops nothing, slice 2 all.

    Fails if: only the touched stage goes, slices are taken for stages, or what is left is not compared with what was trained.
    """
    stages = [stage(1.0), stage(2.0), stage(3.0)]
    one = Staged((2, 0, 1), list(stages), [digest_of(stages[: j + 1]) for j in range(3)])
    kept = one.copy()
    assert one.switch_off(0) == 2
    assert len(one.stages) == len(one.digests) == 1
    assert one.is_what_was_trained()
    assert one.switch_off(1) == 0
    assert one.knows()
    assert one.switch_off(2) == 1
    assert not one.knows()
    assert len(kept.stages) == 3
    kept.stages[1]["b"] += 1e-6
    assert not kept.is_what_was_trained()
    kept.switch_off(0)
    assert kept.is_what_was_trained()


def test_what_is_saved_is_read_back(tmp_path: Path) -> None:
    """Fails if: a stage is lost, written over another's, or an order is read as it stands in the file of another model."""
    stages = [stage(1.0), {}, stage(3.0)]
    copies = [Staged((2, 0, 1), stages, ["a", "b", "c"]), Staged((1, 0, 2), [stage(5.0)], ["d"])]
    read = load_staged(save_staged(copies, tmp_path), tmp_path, "cpu")
    assert [(one.order, one.digests) for one in read] == [((2, 0, 1), ["a", "b", "c"]), ((1, 0, 2), ["d"])]
    for ours, theirs in zip(copies, read, strict=True):
        assert [digest_of([one]) for one in ours.stages] == [digest_of([one]) for one in theirs.stages]


def test_groups_begin_at_the_top() -> None:
    """Stem and three blocks. Fails if: layers are trained from the bottom, or one is left out."""
    names = ["blocks.2.linear", "blocks.1.linear", "blocks.0.linear", "stem.linear"]
    assert groups_of(base(), 4) == [[name] for name in names]
    assert groups_of(base(), 9) == [[name] for name in names]
    assert groups_of(base(), 2) == [names[:2], names[2:]]
    assert groups_of(base(), 1) == [names]


@pytest.mark.parametrize("cumulative", [True, False])
def test_each_stage_reads_its_slices_and_moves_its_layer(cumulative: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """No stage reads a slice that comes later in the order, or another shard's rows; all weights but the stage's layer (and the head, at
    first) stay. Fails if: fit moves frozen layers, or slices leak."""
    ensemble = Ensemble.staged(base(), shards=2, slices=4, seed=5)
    places = {row.id: ensemble.place(row.id) for row in rows()}
    read: list[set[int]] = []
    real = stage_training.fit

    def note(model: Any, given: Rows, *more: Any, **options: Any) -> Any:
        assert {places[row.id][0] for row in given} == {1}
        read.append({places[row.id][1] for row in given})
        start = {name: value.detach().clone() for name, value in model.module.named_parameters()}
        found = real(model, given, *more, **options)
        moved = {name for name, value in model.module.named_parameters() if not torch.equal(value, start[name])}
        assert moved == options["movable"]
        return found

    monkeypatch.setattr(stage_training, "fit", note)
    order = (2, 3, 0, 1)
    one = train_staged(ensemble, 1, 0, order, rows(), RECIPE, Job(), 2, cumulative)
    assert read == [set(order[: j + 1]) if cumulative else {order[j]} for j in range(4)]
    layers = ["blocks.2.linear", "blocks.1.linear", "blocks.0.linear", "stem.linear"]
    before = dict(ensemble.base)
    for j in range(4):
        after = merged(ensemble.base, one.stages[: j + 1])
        moved = {name for name in after if not torch.equal(after[name], before[name])}
        assert moved == {f"{layers[j]}.weight", *(("head.weight", "head.bias") if not j else ())}
        change = after[f"{layers[j]}.weight"] - ensemble.base[f"{layers[j]}.weight"]
        assert int(torch.linalg.matrix_rank(change, tol=1e-5)) <= 2
        before = after
    assert one.is_what_was_trained()


def test_a_slice_without_rows_adds_an_empty_stage() -> None:
    """Fails if: a stage is trained again on the rows of the stages before it, or the stages after it move up by one."""
    ensemble = Ensemble.staged(base(), shards=1, slices=4, seed=5)
    some = Rows(tuple(row for row in rows() if ensemble.place(row.id)[1] != 3))
    one = train_staged(ensemble, 0, 0, (2, 3, 0, 1), some, RECIPE, Job(), 2, True)
    assert [bool(added) for added in one.stages] == [True, False, True, True]
    assert one.digests[1] == digest_of([one.stages[0], {}])


def test_a_risk_decides_the_slice() -> None:
    """.6 of four slices is the third, 1.0 the last. Fails if: a risk is rounded up past the last slice, or a row without one is placed."""
    ensemble = Ensemble.staged(base(), shards=1, slices=4, seed=5, risk="chance")
    placed = [ensemble.place_of(Row(id="a", fields={"chance": chance}))[1] for chance in (0.0, 0.3, 0.6, 1.0)]
    assert placed == [0, 1, 2, 3]
    for wrong in (None, 1.5, "high"):
        with pytest.raises(InputError, match="chance"):
            ensemble.place_of(Row(id="a", fields={"chance": wrong}))
