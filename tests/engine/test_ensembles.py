"""Members on shards: averaged probabilities, numbers and noise, places by row id, checkpoints."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import pytest
import torch
from plain_models import text_model

from expunge.contract.checks import check_model
from expunge.contract.job import Job
from expunge.contract.weights import weights_digest
from expunge.engine.analytic import AnalyticModel
from expunge.engine.ensembles import Ensemble, train_member
from expunge.engine.predict import predict
from expunge.engine.score import score
from expunge.facts.errors import InputError
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Row, Rows
from expunge.modalities.array_tasks import Classification, Regression
from expunge.modalities.arrays import ArrayModel
from expunge.modalities.diffusion import DiffusionModel, Words, diffusion_model
from expunge.modalities.tabular import Features, load_tabular, tabular_model
from expunge.modalities.vision import Images

RECIPE = Recipe(epochs=4, lr=1e-2, batch_size=4, seed=3)


def base(seed: int = 0) -> ArrayModel:
    return tabular_model("mlp", features=Features(width=2), task=Classification(classes=2), seed=seed, width=4)


def rows(n: int = 24) -> Rows:
    return Rows(tuple(Row(id=f"x{i}", fields={"features": [i / n, 1.0 - i % 3], "label": i % 2}) for i in range(n)))


def constant(p: float) -> ArrayModel:
    """A member that says class 0 with probability p."""
    model = base()
    with torch.no_grad():
        for parameter in model.module.parameters():
            parameter.zero_()
        model.module.head.bias.copy_(torch.tensor([math.log(p), math.log(1 - p)]))
    return model


def test_logits_are_the_log_of_the_mean_probability() -> None:
    """.9 and .5 make .7; the mean of logits would make .75. Fails if members are averaged in logits, or summed."""
    ensemble = Ensemble([constant(0.9), constant(0.5)], 2, 1, 0, [[], []])
    batch = ensemble.pack(rows(2))
    torch.testing.assert_close(ensemble.logits(batch).exp(), torch.tensor([[0.7, 0.3], [0.7, 0.3]]))
    torch.testing.assert_close(ensemble.total_loss(batch), -torch.tensor([0.7, 0.3]).log())


def test_places_by_hand() -> None:
    """blake2b of seed/id: shard is the remainder by shards, slice that of the quotient. Fails if a place depends on other rows."""
    ensemble = Ensemble.empty(base(), shards=3, slices=2, seed=9)
    for key in ("a", "b", "c", "d"):
        value = int.from_bytes(hashlib.blake2b(f"9/{key}".encode(), digest_size=8).digest(), "big")
        assert ensemble.place(key) == (value % 3, value // 3 % 2)


def test_members_differ_from_one_another_and_are_reproducible() -> None:
    """Fails if members begin with one set of weights, or another seed draws the same."""
    ensemble = Ensemble.empty(base(), shards=3, slices=1, seed=1)
    digests = [weights_digest(member.module) for member in ensemble.members]
    assert len(set(digests)) == 3
    assert weights_digest(ensemble.fresh(1).module) == weights_digest(ensemble.module)
    assert weights_digest(ensemble.fresh(2).module) != weights_digest(ensemble.module)


def test_a_member_learns_its_own_rows_slice_by_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slice r trains on the shard's slices 0..r for half of the epochs, from the weights kept before it.

    Fails if a member reads another shard's rows, slices do not add up, or the weights before a slice are those after it.
    """
    ensemble = Ensemble.empty(base(), shards=2, slices=2, seed=5)
    places = {row.id: ensemble.place(row.id) for row in rows()}
    read: list[tuple[frozenset[str], int, int]] = []

    def note(member: ArrayModel, given: Rows, recipe: Recipe, **more: object) -> None:
        read.append((frozenset(given.ids), recipe.epochs, recipe.seed))
        with torch.no_grad():
            member.module.head.bias.add_(1.0)

    monkeypatch.setattr("expunge.engine.ensembles.fit", note)
    start = ensemble.members[1].module.head.bias.clone()
    train_member(ensemble, 1, rows(), RECIPE, Job(), from_slice=0)
    own = [frozenset(key for key, (shard, part) in places.items() if shard == 1 and part <= last) for last in (0, 1)]
    assert read == [(own[0], 2, 1003), (own[1], 2, 1004)]
    assert own[0] < own[1]
    kept = ensemble.checkpoints[1]
    assert [state["head.bias"].tolist() for state in kept] == [start.tolist(), (start + 1).tolist()]
    assert ensemble.members[1].module.head.bias.tolist() == (start + 2).tolist()
    read.clear()
    train_member(ensemble, 1, rows(), RECIPE, Job(), from_slice=1)
    assert [part[2] for part in read] == [1004]
    assert ensemble.members[1].module.head.bias.tolist() == (start + 2).tolist()
    assert len(ensemble.checkpoints[1]) == 2


def test_a_copy_shares_neither_members_nor_checkpoints() -> None:
    """Fails if forgetting from a copy changes what the original would train on from."""
    ensemble = Ensemble.empty(base(), shards=2, slices=1, seed=0)
    train_member(ensemble, 0, rows(), RECIPE, Job(), from_slice=0)
    copy = ensemble.copy()
    before, kept = weights_digest(ensemble.module), ensemble.checkpoints[0][0]["head.bias"].clone()
    with torch.no_grad():
        copy.members[0].module.head.bias.add_(1.0)
        copy.checkpoints[0][0]["head.bias"].add_(1.0)
    assert weights_digest(ensemble.module) == before
    assert torch.equal(ensemble.checkpoints[0][0]["head.bias"], kept)
    assert weights_digest(copy.module) != before


def test_saved_members_load_with_their_weights(tmp_path: Path) -> None:
    """Fails if a member is written into another's place, or checkpoints are pickled."""
    ensemble = Ensemble.empty(base(), shards=2, slices=1, seed=0)
    train_member(ensemble, 0, rows(), RECIPE, Job(), from_slice=0)
    ensemble.save(tmp_path)
    for shard in range(2):
        loaded = load_tabular(tmp_path / f"member-{shard}")
        assert weights_digest(loaded.module) == weights_digest(ensemble.members[shard].module)
    suffixes = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert suffixes == {".json", ".safetensors", ".checkpoint"}


def number(says: float) -> ArrayModel:
    """A regression that says one standardised number; 2 on the scale of the rows is one of it, and 10 is 0."""
    model = tabular_model("mlp", features=Features(width=2), task=Regression(mean=10.0, std=2.0), width=4)
    with torch.no_grad():
        for parameter in model.module.parameters():
            parameter.zero_()
        model.module.head.bias.fill_(says)
    return model


def test_a_regression_predicts_the_mean_number_and_has_its_loss() -> None:
    """Members say 0 and 3 (10 and 16), so 13; of a target of 12 (1) the loss is .5^2 / 2 = .125. The mean of their losses is 1.25 and the
    mixture's .9917, of which the one pass would read an error of 1.41. Fails if: losses, or likelihoods, are averaged, or a silent one votes."""
    ensemble = Ensemble([number(0.0), number(3.0)], 2, 1, 0, [[], []])
    some = Rows(tuple(row.replace(label=12.0) for row in rows(3)))
    batch = ensemble.pack(some)
    assert predict(ensemble, some, job=Job()).tolist() == [[13.0]] * 3
    assert ensemble.total_loss(batch).tolist() == [0.125] * 3
    assert score(ensemble, some, job=Job()).errors().tolist() == pytest.approx([0.5] * 3)
    assert ensemble.capabilities.numbers
    check_model(ensemble, some)
    ensemble.silent = frozenset({1})
    assert predict(ensemble, some, job=Job()).tolist() == [[10.0]] * 3
    assert ensemble.total_loss(batch).tolist() == [0.5] * 3
    with pytest.raises(InputError, match="a regression has no logits"):
        ensemble.logits(batch)


def denoiser(says: float) -> DiffusionModel:
    """A denoiser that calls every entry of an image the same noise."""
    images, words = Images(shape=(1, 4, 4), mean=(0.5,), std=(0.5,)), Words(known=("left",))
    model = diffusion_model("denoiser", images=images, words=words, width=4, context=4, heads=2)
    with torch.no_grad():
        for parameter in model.module.parameters():
            parameter.zero_()
        model.module.head.bias.fill_(says)
    return model


def test_a_diffusion_model_predicts_the_mean_noise_in_its_loss_and_when_it_draws() -> None:
    """Members say 0 and 1: loss and drawings are those of one that says .5. Fails if: losses are averaged, or one member draws."""
    ensemble, one = Ensemble([denoiser(0.0), denoiser(1.0)], 2, 1, 0, [[], []]), denoiser(0.5)
    some = Rows(tuple(Row(id=f"d{i}", fields={"image": torch.zeros(4, 4).numpy(), "prompt": "left"}) for i in range(3)))
    batch = ensemble.pack(some)
    noise = ensemble.noise(batch, torch.Generator().manual_seed(0))
    assert noise is not None
    wanted = (noise[:, 2:] - 0.5).square().sum(1)
    with torch.no_grad():
        torch.testing.assert_close(ensemble.total_loss(batch, noise), wanted)
        mean_loss = torch.stack([member.total_loss(batch, noise) for member in ensemble.members]).mean(0)
    torch.testing.assert_close(mean_loss, wanted + 16 / 4)
    drawn, alone = (m.sample(["left"], generator=torch.Generator().manual_seed(0), steps=2) for m in (ensemble, one))
    torch.testing.assert_close(drawn, alone)


def test_what_cannot_be_averaged_is_refused() -> None:
    """Fails if members without probabilities are averaged whose adapter cannot hold the mean of their networks, or members' features are."""
    inner = number(0.0)
    analytic = AnalyticModel.empty(inner, ridge=1.0, scale=1.0, backbone="random")
    with pytest.raises(InputError, match="averages probabilities, or what its members' networks predict") as refused:
        Ensemble.empty(analytic, shards=2, slices=1, seed=0)
    assert refused.value.do == "use retrain"
    ensemble = Ensemble.empty(base(), shards=2, slices=1, seed=0)
    assert not ensemble.capabilities.features
    with pytest.raises(InputError, match="no common features"):
        ensemble.features(ensemble.pack(rows(2)), "head")
    text = text_model("llama")[0]
    for silent in (ensemble, Ensemble([text, text.copy()], 2, 1, 0, [[], []])):
        with pytest.raises(InputError, match="draws nothing"):
            silent.sample(["left"])
