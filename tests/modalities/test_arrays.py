"""The adapter of image and table models: positions, losses, copies, fresh weights, the one pass."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.weights import weights_digest
from expunge.engine.per_example import squared_gradient_sum
from expunge.engine.score import score
from expunge.facts.errors import InputError
from expunge.facts.rows import Row, Rows
from expunge.modalities.array_tasks import Classification, Regression
from expunge.modalities.arrays import ArrayModel
from expunge.modalities.tabular import Features, tabular_model
from expunge.modalities.vision import Images, vision_model

IMAGES = Images(shape=(2, 8, 8), mean=(0.4, 0.5), std=(0.3, 0.2))
SMALL = {"cnn": {"width": 4}, "resnet": {"width": 4}, "vit": {"width": 8, "depth": 2, "heads": 2}}
KINDS = [*SMALL, "mlp", "regression"]


def build(kind: str, seed: int = 0) -> ArrayModel:
    if kind in SMALL:
        return vision_model(kind, images=IMAGES, classes=5, seed=seed, **SMALL[kind])
    task = Classification(classes=5) if kind == "mlp" else Regression(mean=2.0, std=2.0)
    return tabular_model("mlp", features=Features(width=6), task=task, seed=seed, width=8, depth=2)


def rows_for(kind: str, n: int = 7) -> Rows:
    draw = np.random.default_rng(0)
    name, shape = ("image", (2, 8, 8)) if kind in SMALL else ("features", (6,))
    return Rows(
        tuple(
            Row(id=f"r{i}", fields={name: draw.random(shape, dtype=np.float32), "label": int(draw.integers(5))})
            for i in range(n)
        )
    )


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_a_model_with_one_position_an_example_in_row_order(kind: str) -> None:
    """Fails if pack reorders rows or drops a label's standardisation."""
    model, rows = build(kind), rows_for(kind)
    assert isinstance(model, Model)
    batch = model.pack(rows)
    wanted = [(row["label"] - 2.0) / 2.0 if kind == "regression" else row["label"] for row in rows]
    assert batch.targets.tolist() == wanted
    assert batch.owner.tolist() == list(range(7))
    assert batch.lengths().tolist() == [1] * 7
    assert batch.size == 7


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_is_the_formula_on_the_networks_own_output(kind: str) -> None:
    """Fails if logits are taken twice through softmax, or the examples' losses are mixed."""
    model, rows = build(kind), rows_for(kind)
    batch = model.pack(rows)
    out = model.module(batch.inputs["x"]).detach().double().numpy()
    if kind == "regression":
        wanted = [0.5 * (out[i, 0] - (row["label"] - 2.0) / 2.0) ** 2 for i, row in enumerate(rows)]
    else:
        wanted = [math.log(np.exp(out[i]).sum()) - out[i, row["label"]] for i, row in enumerate(rows)]
        assert torch.equal(model.logits(batch), model.module(batch.inputs["x"]))
    assert model.total_loss(batch).tolist() == pytest.approx(wanted, rel=1e-5, abs=1e-6)
    alone = [model.total_loss(model.pack([row])).item() for row in rows]
    assert alone == pytest.approx(wanted, rel=1e-5, abs=1e-6)


def test_a_regression_refuses_logits() -> None:
    """Fails if a regression hands out its prediction as a logit."""
    model = build("regression")
    assert not model.capabilities.logits
    with pytest.raises(InputError, match="no logits"):
        model.logits(model.pack(rows_for("regression")))


@pytest.mark.parametrize("kind", ["cnn", "vit", "mlp"])
def test_the_one_pass_gives_the_moments_of_log_p(kind: str) -> None:
    """Fails if the one pass leaves row order, or counts ranks from 1; keys are (row id, label)."""
    model, rows = build(kind), rows_for(kind)
    found = score(model, rows, job=Job(), budget=3)
    logits = model.logits(model.pack(rows)).detach().double().numpy()
    logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    labels = [row["label"] for row in rows]
    own = logs[np.arange(7), labels]
    mean = (np.exp(logs) * logs).sum(1)
    assert found.keys == tuple((row.id, "label") for row in rows)
    assert found.offsets.tolist() == list(range(8))
    assert found.log_prob.tolist() == pytest.approx(own.tolist(), rel=1e-5)
    assert found.mean.tolist() == pytest.approx(mean.tolist(), rel=1e-5)
    assert found.variance.tolist() == pytest.approx(((np.exp(logs) * logs**2).sum(1) - mean**2).tolist(), rel=1e-3)
    assert found.rank.tolist() == [(logs[i] > own[i]).sum() for i in range(7)]
    assert found.token.tolist() == labels
    assert not found.is_end.any()


def test_a_constant_model_is_right_about_one_class_only() -> None:
    """Fails if a tie counts as arg-max: a zeroed model would have accuracy 1 on every set."""
    model, rows = build("cnn"), rows_for("cnn")
    for parameter in model.module.parameters():
        nn.init.zeros_(parameter)
    assert score(model, rows, job=Job()).rank.tolist() == [row["label"] for row in rows]


@pytest.mark.parametrize("kind", KINDS)
def test_per_example_gradients_are_read_in_one_pass(kind: str) -> None:
    """Fails with BatchNorm, whose examples share a gradient, or with a layer that cannot be read (then rows run alone)."""
    model, rows, job = build(kind), rows_for(kind), Job()
    found = squared_gradient_sum(model, rows, job=job)
    assert "per_example" not in job.notes
    wanted = {name: torch.zeros_like(p) for name, p in model.module.named_parameters()}
    for row in rows:
        model.module.zero_grad()
        model.total_loss(model.pack([row])).sum().backward()
        for name, parameter in model.module.named_parameters():
            wanted[name] += parameter.grad.square()
    for name, value in wanted.items():
        assert torch.allclose(found[name], value, rtol=1e-3, atol=1e-7), name


@pytest.mark.parametrize("kind", KINDS)
def test_networks_keep_no_running_statistic(kind: str) -> None:
    """Fails with BatchNorm: its buffers keep a trace of forget rows that no scope or mask covers."""
    model = build(kind)
    assert set(model.module.state_dict()) == {name for name, _ in model.module.named_parameters()}
    rows = rows_for(kind)
    before = weights_digest(model.module)
    model.module.train(True)
    together = model.total_loss(model.pack(rows))
    model.module.train(False)
    assert weights_digest(model.module) == before
    assert torch.allclose(together[:1], model.total_loss(model.pack(rows[:1])), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_fresh_draws_every_weight_anew_and_the_same_under_one_seed(kind: str) -> None:
    """SSD's published retraining resets direct children only. Fails if fresh keeps any trained tensor, or global seeds matter."""
    model = build(kind, seed=3)
    for parameter in model.module.parameters():
        nn.init.constant_(parameter, 7.25)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    again = model.fresh(3)
    assert torch.equal(torch.get_rng_state(), state)
    assert weights_digest(again.module) == weights_digest(build(kind, seed=3).module)
    assert weights_digest(model.fresh(4).module) != weights_digest(again.module)
    assert not any(bool((parameter == 7.25).any()) for parameter in again.module.parameters())
    assert not again.module.training


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_shares_no_tensor(kind: str) -> None:
    """SCRUB's published teacher is `copy.copy(model)`, the student itself. Fails with a shallow copy."""
    model = build(kind)
    twin = model.copy()
    before = weights_digest(model.module)
    for parameter in twin.module.parameters():
        nn.init.constant_(parameter, 1.0)
    assert weights_digest(model.module) == before
    own = {parameter.data_ptr() for parameter in model.module.parameters()}
    assert own.isdisjoint(parameter.data_ptr() for parameter in twin.module.parameters())


@pytest.mark.parametrize("kind", ["cnn", "mlp", "regression"])
def test_relabelling_leaves_the_given_batch_and_rows_alone(kind: str) -> None:
    """Published random-label code writes new labels into the dataset. Fails if relabel writes in place."""
    model, rows = build(kind), rows_for(kind)
    batch, digest = model.pack(rows), rows.digest()
    before = batch.targets.clone()
    drawn = model.relabel(batch, torch.Generator().manual_seed(1))
    assert torch.equal(batch.targets, before)
    assert rows.digest() == digest
    assert not bool((drawn.targets == before).any())
    assert torch.equal(drawn.inputs["x"], batch.inputs["x"])
    assert torch.equal(drawn.targets, model.relabel(batch, torch.Generator().manual_seed(1)).targets)


@pytest.mark.parametrize("kind", KINDS)
def test_features_are_what_the_named_module_returns_and_sites_name_modules(kind: str) -> None:
    """Fails if features are averaged over places, or a site names no module; the head's input gives the logits back."""
    model = build(kind)
    batch = model.pack(rows_for(kind))
    sites = model.sites()
    named = dict(model.module.named_modules())
    for name in (*sites.blocks, *sites.attention, *sites.feed_forward, *sites.embedding, *sites.head):
        assert name in named
    assert len(sites.blocks) == len(model.module.blocks)
    last = model.features(batch, sites.blocks[-1])
    if kind in ("cnn", "mlp", "regression"):
        assert torch.allclose(model.module.head(last), model.outputs(batch))
    elif kind == "resnet":
        assert torch.allclose(model.module.head(last.unflatten(1, (-1, 2, 2)).mean((2, 3))), model.outputs(batch))
    else:
        assert len(sites.attention) == len(sites.feed_forward) == 2
        assert torch.allclose(
            model.module.head(model.module.norm(last.unflatten(1, (-1, 8))).mean(1)), model.outputs(batch)
        )


@pytest.mark.parametrize("kind", ["cnn", "mlp"])
@pytest.mark.parametrize("name", ["array", "label"])
def test_a_row_without_its_array_or_label_is_refused(kind: str, name: str) -> None:
    """Fails if a missing field is a KeyError without the row's id."""
    key = {"cnn": "image", "mlp": "features"}[kind] if name == "array" else "label"
    row = rows_for(kind)[0]
    with pytest.raises(InputError, match=f"row 'r0' has no {key}"):
        build(kind).pack([Row(id="r0", fields={k: v for k, v in row.fields.items() if k != key})])
