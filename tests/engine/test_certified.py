"""A certified head on a network: what it reads, refusals that change nothing, saving and loading."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from expunge.contract.weights import weights_digest
from expunge.engine.certified import CertifiedModel, secret_of
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


def rows(n: int = 60, seed: int = 0) -> Rows:
    draw = np.random.default_rng(seed)
    return Rows(
        tuple(Row(id=f"x{i}", fields={"features": draw.normal(size=4).tolist(), "label": i % 3}) for i in range(n))
    )


def trained(given: Rows, **settings: object) -> CertifiedModel:
    known = {"strength": 0.05, "sigma": 1.0, "secret": secret_of(1, ""), "backbone": "random", **settings}
    return CertifiedModel.trained(network(), given, **known)  # type: ignore[arg-type]


def forgotten(model: CertifiedModel, gone: Rows, kept: Rows) -> CertifiedModel:
    copy = model.copy()
    copy.forget(gone, *copy.read(gone, kept), budget=math.inf)
    return copy


def test_the_head_is_logistic_regression_on_the_layer_below() -> None:
    """Each class's gradient, from what the block gives in float64: noise and penalty and rows cancel. Fails if the bias has no column, labels are
    shifted, or the head that answers is not the one trained; the grid and float32 cost less than 1e-2 of the noise."""
    model = trained(rows())
    double = network()
    double.module.double()
    with torch.no_grad():
        hidden = double.features(double.pack(rows()), "blocks.0").numpy()
    x = np.hstack([hidden, np.ones((60, 1))])
    head = head_of(model)
    weights = np.vstack([head.weight.detach().numpy().T, head.bias.detach().numpy()]).astype(np.float64)
    wrong = 1 / (1 + np.exp(-x @ weights)) - np.eye(3)[[row["label"] for row in rows()]]
    left = x.T @ wrong + 60 * 0.05 * weights + model.head.noise
    assert np.abs(left).max() < 1e-2
    assert np.abs(model.head.noise).max() > 1


def test_two_classes_give_the_score_and_its_other_half() -> None:
    """Fails if one problem is written into one output alone: the softmax of +-s / 2 is the logistic of s."""
    given = Rows(tuple(row.replace(label=row["label"] % 2) for row in rows()))
    blank = tabular_model("mlp", features=Features(width=4), task=Classification(classes=2), seed=0, width=16, depth=1)
    model = CertifiedModel.trained(blank, given, strength=0.05, sigma=1.0, secret=b"s", backbone="random")
    assert model.head.weights.shape == (17, 1)
    logits = model.logits(model.pack(given)).detach().numpy()
    assert logits[:, 0] == pytest.approx(-logits[:, 1], abs=1e-5)
    (x, labels), _ = model.read(Rows(()), given)
    assert logits[:, 1] - logits[:, 0] == pytest.approx((x @ model.head.weights)[:, 0], abs=1e-3)
    assert labels.tolist() == [row["label"] for row in given]


def test_forgotten_rows_leave_the_list_and_move_the_head() -> None:
    """Fails if a row's hash stays, the head that answers is the old one, or rows that are gone move it again."""
    model = trained(rows())
    after = forgotten(model, rows()[:3], rows()[3:])
    assert len(after.rows) == 57
    assert after.head.forgotten == 3
    assert weights_digest(after.module) != weights_digest(model.module)
    twice = forgotten(after, rows()[:3], rows()[3:])
    assert weights_digest(twice.module) == weights_digest(after.module)
    assert twice.head is after.head
    assert len(model.rows) == 60


def test_rows_that_do_not_fit_are_refused_and_change_nothing() -> None:
    """Fails if the Hessian is taken over other rows than those that stay, or a row passes that is not what was learnt."""
    model, given = trained(rows()), rows()
    before = weights_digest(model.module), dict(model.rows), model.head
    other = rows(61)[60:]
    for gone, kept, words in (
        (given[:3], given[4:], "1 rows that this model was trained on are in neither forget nor retain"),
        (given[:3], Rows((*given[3:], *other)), "1 retain rows are not in this model, the first 'x60'"),
        (given[:3], Rows((given[3].replace(label=2), *given[4:])), "row 'x3' is not what was learnt"),
        (Rows((given[0].replace(label=1),)), given[1:], "row 'x0' is not what was learnt"),
        (Rows((Row(id="renamed", fields=given[0].fields),)), given[1:], "'renamed' is not in this model under its id"),
    ):
        with pytest.raises(InputError, match=words) as refused:
            forgotten(model, gone, kept)
        assert refused.value.do
    after = forgotten(model, given[:3], given[3:])
    with pytest.raises(InputError, match="3 retain rows are not in this model, the first 'x0'"):
        forgotten(after, given[3:5], Rows((*given[:3], *given[5:])))
    assert (weights_digest(model.module), dict(model.rows), model.head) == before
    with pytest.raises(InputError, match="this model predicts a number") as refused:
        CertifiedModel.trained(network(regression=True), given, strength=1.0, sigma=1.0, secret=b"s", backbone="random")
    assert "acu" in refused.value.do


def test_noise_is_drawn_from_the_key_where_one_is_named(tmp_path: Path) -> None:
    """Fails if the key is not read, or the seed alone gives the noise away though there is one."""
    key = tmp_path / "key"
    key.write_bytes(b"thirty-two bytes, known to no one")
    assert len({secret_of(1, ""), secret_of(2, ""), secret_of(1, str(key)), secret_of(2, str(key))}) == 4
    assert secret_of(1, "") == secret_of(1, "")
    with pytest.raises(InputError, match="there is no file"):
        secret_of(1, str(tmp_path / "none"))


def test_a_saved_model_is_read_back_whole(tmp_path: Path) -> None:
    """Fails if the noise, what was spent or the hashes are lost, so that a later request goes wrong; or a row's id is written."""
    model = forgotten(trained(rows()), rows()[:2], rows()[2:])
    model.save(tmp_path)
    assert modality_of(tmp_path) == check_directory(tmp_path) == "tabular"
    read = load_model(tmp_path)
    assert isinstance(read, CertifiedModel)
    assert (read.rows, read.backbone, read.head.forgotten, read.head.trainings) == (model.rows, "random", 2, 1)
    assert (read.head.sigma, read.head.strength, read.head.bound) == (1.0, 0.05, model.head.bound)
    assert np.array_equal(read.head.noise, model.head.noise)
    next_request = rows()[2:4], rows()[4:]
    ours, theirs = forgotten(model, *next_request), forgotten(read, *next_request)
    assert weights_digest(ours.module) == weights_digest(theirs.module)
    assert ours.head.bound == theirs.head.bound > model.head.bound
    coarse = load_model(tmp_path, Placement(dtype="bfloat16"))
    assert isinstance(coarse, CertifiedModel)
    with pytest.raises(InputError, match="the weights of the backbone changed"):
        forgotten(coarse, *next_request)
    names = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"x7" not in names


def test_fresh_holds_nothing() -> None:
    """Fails if a network newly drawn still claims rows, or what was spent on them."""
    fresh = trained(rows()).fresh(3)
    assert not fresh.rows
    assert fresh.head.bound == 0.0
    assert weights_digest(fresh.module) == weights_digest(network(3).module)
