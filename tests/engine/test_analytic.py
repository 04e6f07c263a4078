"""An analytic head: features that no batch changes, rows by hash, a refusal that changes nothing, saving and loading."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from expunge.contract.weights import weights_digest
from expunge.engine.analytic import AnalyticModel
from expunge.engine.solved_head import head_of
from expunge.facts.errors import InputError
from expunge.facts.rows import Row, Rows
from expunge.modalities.array_tasks import Classification, Regression
from expunge.modalities.arrays import ArrayModel
from expunge.modalities.tabular import Features, tabular_model
from expunge.pipeline.loading import Placement, check_directory, load_model, modality_of


def network(seed: int = 0, *, regression: bool = False) -> ArrayModel:
    task = Regression(mean=1.0, std=2.0) if regression else Classification(classes=3)
    return tabular_model("mlp", features=Features(width=4), task=task, seed=seed, width=16, depth=1)


def rows(n: int = 40, seed: int = 0) -> Rows:
    draw = np.random.default_rng(seed)
    return Rows(
        tuple(Row(id=f"x{i}", fields={"features": draw.normal(size=4).tolist(), "label": i % 3}) for i in range(n))
    )


def learnt(given: Rows, *, ridge: float = 0.5, regression: bool = False) -> AnalyticModel:
    model = AnalyticModel.empty(network(regression=regression), ridge=ridge, scale=4.0, backbone="random")
    model.learn(given)
    return model


@pytest.mark.parametrize("regression", [False, True])
def test_the_head_is_the_ridge_solution_of_the_layer_below(regression: bool) -> None:
    """Against least squares on what the blocks give, computed apart in float64: 4 for the row's class and 0 else, or (label - 1) / 2.

    Fails if: the bias has no column, targets are not scaled, or a regression's are not standardised. The grid and float32 cost less than 1e-3.
    """
    model = learnt(rows(), regression=regression)
    double = network(regression=regression)
    double.module.double()
    with torch.no_grad():
        hidden = double.features(double.pack(rows()), "blocks.0").numpy()
    x = np.vstack([np.hstack([hidden, np.ones((40, 1))]), np.sqrt(0.5) * np.eye(17)])
    labels = np.array([row["label"] for row in rows()])
    y = (labels[:, None] - 1) / 2 if regression else 4.0 * np.eye(3)[labels]
    wanted = np.linalg.lstsq(x, np.vstack([y, np.zeros((17, y.shape[1]))]), rcond=None)[0]
    head = head_of(model)
    assert np.abs(head.weight.detach().numpy().T - wanted[:-1]).max() < 1e-3
    assert np.abs(head.bias.detach().numpy() - wanted[-1]).max() < 1e-3


def test_what_a_row_adds_does_not_depend_on_its_batch() -> None:
    """Float32 features move in their last bit with the size of the batch; rounded in float64 they do not.

    Fails if: the backbone runs in float32 and is not rounded, so that what is subtracted is not what was added.
    """
    model = learnt(rows())
    together = model.entries(rows())
    for row in rows():
        (x, y, numbers) = next(iter(model.entries([row]).values()))
        ours = next(entry for entry in together.values() if np.array_equal(entry[0], x))
        assert (ours[2], ours[1].tolist()) == (numbers, y.tolist())
    assert sorted(model.rows.values()) == sorted(entry[2] for entry in together.values())


def test_forgotten_rows_leave_no_bit() -> None:
    """One by one, in another order. Fails if: sums are not exact, or a row's hash stays."""
    model, few = learnt(rows()), learnt(rows()[10:])
    for i in reversed(range(10)):
        assert model.forget(rows()[i : i + 1]) == 1
    assert model.state.digest() == few.state.digest()
    assert weights_digest(model.module) == weights_digest(few.module)
    assert model.rows == few.rows
    assert model.forget(rows()[:10]) == 0
    assert model.state.digest() == few.state.digest()


def test_all_rows_can_go() -> None:
    """Fails if: sums of no rows are not zero, or a head without rows still answers. It then says every class alike."""
    model = learnt(rows())
    assert model.forget(rows()) == 40
    assert not model.state.gram.any()
    assert not model.rows
    assert not torch.any(model.logits(model.pack(rows())))


def test_a_changed_row_is_refused_and_changes_nothing() -> None:
    """Fails if: other numbers are subtracted than were added, or the head is written before the refusal."""
    model = learnt(rows())
    before = model.state.digest(), weights_digest(model.module), dict(model.rows)
    for fields in ({"label": 2}, {"features": [9.0, 0.0, 0.0, 0.0]}):
        with pytest.raises(InputError, match="'x0' is not what was learnt"):
            model.forget([rows()[1], rows()[0].replace(**fields)])
    with pytest.raises(InputError, match="learnt already"):
        model.learn(rows()[:2])
    ill = AnalyticModel.empty(network(), ridge=1e-12, scale=4.0, backbone="random")
    with pytest.raises(InputError, match="ill-conditioned"):
        ill.learn(rows()[:5])
    assert not ill.rows
    assert ill.state.rows == 0
    assert (model.state.digest(), weights_digest(model.module), dict(model.rows)) == before


def test_a_row_under_another_id_is_refused() -> None:
    """Fails if a row whose numbers are still in counts as gone because its id changed: the removal would be called exact.

    Of two equal rows learnt under two ids one can go; asked for again it is refused, as the other one is still in; both can go at once.
    """
    given = rows()
    model = learnt(given)
    digest = weights_digest(model.module)
    with pytest.raises(InputError, match="'renamed' is not in this model under its id, but the same numbers are"):
        model.forget([Row(id="renamed", fields=given[0].fields)])
    assert weights_digest(model.module) == digest
    assert model.state.rows == 40
    doublet = Row(id="again", fields=given[0].fields)
    twice = learnt(Rows((*given, doublet)))
    assert twice.copy().forget([given[0], doublet]) == 2
    assert twice.forget([given[0]]) == 1
    with pytest.raises(InputError, match="'x0' is not in this model under its id"):
        twice.forget([given[0]])
    assert twice.forget([given[0], doublet]) == 1
    assert twice.forget([given[0], doublet]) == 0
    assert weights_digest(twice.module) == weights_digest(learnt(given[1:]).module)


def test_a_copy_is_independent_and_fresh_holds_nothing() -> None:
    """Fails if: forgetting from a copy reaches the sums, head or hashes of the original."""
    model = learnt(rows())
    before = model.state.digest(), weights_digest(model.module)
    copy = model.copy()
    copy.forget(rows()[:20])
    assert (model.state.digest(), weights_digest(model.module)) == before
    assert len(model.rows) == 40
    fresh = model.fresh(3)
    assert not fresh.rows
    assert not fresh.state.gram.any()
    assert weights_digest(fresh.module) == weights_digest(network(3).module)


def test_a_saved_model_is_read_back_whole(tmp_path: Path) -> None:
    """Fails if: sums, hashes or what the backbone saw are lost, so that a later request goes wrong."""
    model, few = learnt(rows()), learnt(rows()[10:])
    model.save(tmp_path)
    assert modality_of(tmp_path) == check_directory(tmp_path) == "tabular"
    read = load_model(tmp_path)
    assert isinstance(read, AnalyticModel)
    assert (read.state.digest(), read.rows, read.scale, read.backbone) == (
        model.state.digest(),
        model.rows,
        4.0,
        "random",
    )
    assert read.forget(rows()[:10]) == 10
    assert weights_digest(read.module) == weights_digest(few.module)
    coarse = load_model(tmp_path, Placement(dtype="bfloat16"))
    assert isinstance(coarse, AnalyticModel)
    with pytest.raises(InputError, match="the weights of the backbone changed"):
        coarse.forget(rows()[:10])
    names = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"x7" not in names
