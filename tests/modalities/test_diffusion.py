"""The diffusion adapter: what its one noise tensor carries, its loss by hand, what it refuses."""

from __future__ import annotations

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
from expunge.modalities.diffusion import DROPPED, DiffusionModel, Words, diffusion_model
from expunge.modalities.diffusion_schedule import STEPS, signal
from expunge.modalities.vision import Images

IMAGES = Images(shape=(1, 4, 4), mean=(0.5,), std=(0.25,))
WORDS = Words(known=("red", "three", "four"), length=2)


def build(seed: int = 0) -> DiffusionModel:
    return diffusion_model("denoiser", images=IMAGES, words=WORDS, seed=seed, width=8, context=8, heads=2)


def drawn_rows(n: int = 5) -> Rows:
    draw = np.random.default_rng(0)
    prompts = ["red three", "three", "", "red four", "four"]
    return Rows(
        tuple(
            Row(id=f"r{i}", fields={"image": draw.random((4, 4), dtype=np.float32), "prompt": prompts[i % 5]})
            for i in range(n)
        )
    )


def test_it_is_a_model_whose_positions_are_the_images_entries() -> None:
    """Fails if lengths are 1 an image: `loss` would be a sum; targets are the normalised entries in row order."""
    model, rows = build(), drawn_rows()
    assert isinstance(model, Model)
    batch = model.pack(rows)
    assert batch.lengths().tolist() == [16] * 5
    wanted = np.concatenate([(row["image"].flatten() - 0.5) / 0.25 for row in rows])
    assert batch.targets.tolist() == pytest.approx(wanted.tolist(), rel=1e-5)
    assert batch.inputs["words"].tolist() == [[1, 2], [2, 0], [0, 0], [1, 3], [3, 0]]


def test_noise_carries_whole_timesteps_kept_prompts_and_standard_epsilon() -> None:
    """Fails if timesteps are cut off, shared by a batch or not whole; in eval mode every prompt is kept."""
    model = build()
    batch = model.pack(drawn_rows(2000))
    noise = model.noise(batch, torch.Generator().manual_seed(0))
    steps, kept, epsilon = noise[:, 0], noise[:, 1], noise[:, 2:]
    assert noise.shape == (2000, 18)
    assert torch.equal(steps, steps.round())
    assert steps.min() >= 0
    assert steps.max() < STEPS
    assert float(steps.mean()) == pytest.approx((STEPS - 1) / 2, abs=4 * STEPS / np.sqrt(12 * 2000))
    assert kept.unique().tolist() == [1.0]
    assert float(epsilon.mean()) == pytest.approx(0, abs=4 / np.sqrt(32_000))
    assert float(epsilon.std()) == pytest.approx(1, abs=0.02)
    assert torch.equal(noise, model.noise(batch, torch.Generator().manual_seed(0)))
    model.module.train(True)
    dropped = 1 - float(model.noise(batch, torch.Generator().manual_seed(0))[:, 1].mean())
    assert dropped == pytest.approx(DROPPED, abs=4 * np.sqrt(DROPPED * (1 - DROPPED) / 2000))


def test_the_loss_is_the_summed_squared_error_at_the_noises_own_timestep() -> None:
    """Fails if the mean is returned, timesteps are shifted or epsilon is not the target; recomputed a row at a time."""
    model, rows = build(), drawn_rows()
    batch = model.pack(rows)
    noise = model.noise(batch, torch.Generator().manual_seed(3))
    noise[1, 1] = 0.0
    wanted = []
    for i in range(5):
        t, epsilon = int(noise[i, 0]), noise[i, 2:].reshape(1, 1, 4, 4)
        clean = torch.from_numpy((rows[i]["image"] - 0.5) / 0.25)[None, None]
        given = signal()[t].sqrt() * clean + (1 - signal()[t]).sqrt() * epsilon
        words = batch.inputs["words"][i : i + 1] if i != 1 else torch.zeros(1, 2, dtype=torch.long)
        predicted = model.module(given, torch.tensor([t]), words)
        wanted.append(((predicted - epsilon) ** 2).sum().item())
    assert model.total_loss(batch, noise).tolist() == pytest.approx(wanted, rel=1e-4)


def test_a_frozen_copy_under_the_same_noise_gives_the_same_loss() -> None:
    """Fails if total_loss draws anything of its own: NPO's ratio would start at noise, not at 1."""
    model = build()
    batch = model.pack(drawn_rows())
    noise = model.noise(batch, torch.Generator().manual_seed(0))
    assert torch.equal(model.total_loss(batch, noise), model.copy().total_loss(batch, noise))


def test_weights_in_bfloat16_still_see_exact_timesteps() -> None:
    """Fails if noise is cast to the weights' type: bfloat16 holds no 999, the step would be 1000."""
    model = build()
    batch = model.pack(drawn_rows(64))
    model.module.to(torch.bfloat16)
    low = model.noise(batch, torch.Generator().manual_seed(0))
    model.module.to(torch.float32)
    assert torch.equal(low, model.noise(batch, torch.Generator().manual_seed(0)))
    low[:, 0] = STEPS - 1
    assert torch.isfinite(model.total_loss(batch, low)).all()


def test_per_example_gradients_are_read_in_one_pass() -> None:
    """Fails if noise has no example axis of its own, or a layer of the denoiser cannot be read."""
    model, rows, job = build(), drawn_rows(), Job()
    for parameter in model.module.parameters():
        nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(parameter.numel()))
    found = squared_gradient_sum(model, rows, job=job)
    assert "per_example" not in job.notes
    seeds = torch.randint(2**62, (len(rows),), generator=torch.Generator().manual_seed(0)).tolist()
    wanted = {name: torch.zeros_like(p) for name, p in model.module.named_parameters()}
    for row, seed in zip(rows, seeds, strict=True):
        batch = model.pack([row])
        model.module.zero_grad()
        (model.total_loss(batch, model.noise(batch, torch.Generator().manual_seed(seed))).sum() / 16).backward()
        for name, parameter in model.module.named_parameters():
            wanted[name] += parameter.grad.square()
    for name, value in wanted.items():
        assert torch.allclose(found[name], value, rtol=1e-3, atol=1e-5 * float(value.max())), name


def test_guidance_moves_away_from_the_empty_prompt() -> None:
    """Fails if guidance is turned around: at 0 the prompt does not matter, at 1 it is the prompt's own prediction."""
    model = build()
    for parameter in model.module.parameters():
        nn.init.normal_(parameter, std=0.5, generator=torch.Generator().manual_seed(parameter.numel()))

    def drawn(prompt: str, guidance: float) -> torch.Tensor:
        return model.sample([prompt], generator=torch.Generator().manual_seed(0), steps=1, guidance=guidance)

    empty, own = drawn("", 1.0), drawn("red three", 1.0)
    assert torch.allclose(drawn("red three", 0.0), empty, atol=1e-6)
    assert float((own - empty).abs().max()) > 1e-4
    assert torch.allclose(drawn("red three", 2.0) - empty, 2 * (own - empty), atol=1e-6)


def test_samples_depend_on_the_generator_alone_and_are_on_the_images_scale() -> None:
    """Fails if the global generator is used, or normalisation is not undone: a zero network draws start / sqrt(abar)."""
    model = build()
    for parameter in model.module.parameters():
        nn.init.zeros_(parameter)
    torch.manual_seed(1)
    one = model.sample(["three"], generator=torch.Generator().manual_seed(0), steps=1)
    torch.manual_seed(2)
    assert torch.equal(one, model.sample(["three"], generator=torch.Generator().manual_seed(0), steps=1))
    start = torch.randn(1, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(one, start / signal()[0].sqrt() * 0.25 + 0.5)


def test_fresh_draws_every_weight_anew_and_a_copy_shares_none() -> None:
    """Fails if fresh keeps a trained tensor or the copy is shallow."""
    model = build(3)
    twin = model.copy()
    for parameter in model.module.parameters():
        nn.init.constant_(parameter, 7.25)
    assert weights_digest(model.fresh(3).module) == weights_digest(build(3).module) == weights_digest(twin.module)
    assert weights_digest(model.fresh(4).module) != weights_digest(twin.module)


def test_what_a_noise_predictor_does_not_have_is_refused() -> None:
    """Fails if a loss without noise draws its own, or the one pass invents probabilities."""
    model, rows = build(), drawn_rows()
    batch = model.pack(rows)
    with pytest.raises(InputError, match="needs noise"):
        model.total_loss(batch)
    with pytest.raises(InputError, match="no logits"):
        score(model, rows, job=Job())
    with pytest.raises(InputError, match="no features"):
        model.features(batch, "stem")
    with pytest.raises(InputError, match="no labels"):
        model.relabel(batch, torch.Generator())


def test_sites_name_the_cross_attention_whose_keys_read_words_alone() -> None:
    """Fails if a site names no module, or to_k does not take the words' width."""
    model = build()
    named = dict(model.module.named_modules())
    sites = model.sites()
    assert sites.blocks == ("blocks.0", "blocks.1", "blocks.2", "blocks.3")
    assert sites.cross_attention == ("blocks.1.cross_attention", "blocks.2.cross_attention")
    assert all(named[name].to_k.in_features == named[name].to_v.in_features == 8 for name in sites.cross_attention)
    assert {*sites.embedding, *sites.head} <= set(named)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [("red thre", "'thre'; the nearest is 'three'"), ("red three four", "3 words, the model reads 2")],
)
def test_prompts_outside_the_vocabulary_are_refused(prompt: str, message: str) -> None:
    """Fails if an unknown word becomes the empty one: forgetting it would change nothing and look done."""
    row = drawn_rows()[0].replace(prompt=prompt)
    with pytest.raises(InputError, match=message):
        build().pack([row])
