"""The schedule and the way back from noise, against the formula and against diffusers."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from expunge.modalities.diffusion_schedule import STEPS, denoise, noised, signal


def test_the_signal_left_is_the_squared_cosine() -> None:
    """Fails without the offset 0.008 or the division by 1.008; the last betas are capped at 0.999."""
    f = [math.cos((t / STEPS + 0.008) / 1.008 * math.pi / 2) ** 2 for t in (0, 1, 500, 900)]
    found = signal()
    assert len(found) == STEPS
    assert [float(found[t]) for t in (0, 499, 899)] == pytest.approx([f[1] / f[0], f[2] / f[0], f[3] / f[0]], rel=1e-3)
    assert float(found[-1] / found[-2]) == pytest.approx(0.001, rel=1e-3)


def test_noised_mixes_signal_and_noise_by_example() -> None:
    """Fails if the square roots are lost or the two weights swapped: 0.8 * 2 + 0.6 * 3 and 0.6 * 2 + 0.8 * 3."""
    x, epsilon = torch.full((2, 1, 1, 1), 2.0), torch.full((2, 1, 1, 1), 3.0)
    found = noised(x, epsilon, torch.tensor([0.64, 0.36]))
    assert found.flatten().tolist() == pytest.approx([3.4, 3.6])


@pytest.mark.parametrize("steps", [1, 3, 12, 50])
def test_the_true_noise_leads_back_to_the_image_along_one_epsilon(steps: int) -> None:
    """Fails if a step uses the wrong abar or clips x_0: with eps computed from the known image, eps never changes on the way."""
    image = torch.tensor([[[[0.5, -3.0], [2.0, 0.0]]]])
    abar = signal()
    found: list[Tensor] = []

    def predict(x: Tensor, t: int) -> Tensor:
        found.append((x - abar[t].sqrt() * image) / (1 - abar[t]).sqrt())
        return found[-1]

    start = torch.randn(1, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(denoise(start, predict, steps), image, atol=1e-4)
    assert len(found) == steps
    assert all(torch.allclose(one, found[0], atol=1e-2) for one in found)


@pytest.mark.slow
def test_sampling_is_diffusers_ddim_without_clipping() -> None:
    """Fails if timesteps or abar differ from DDIMScheduler(squaredcos_cap_v2, clip_sample=False); its default clips."""
    from diffusers import DDIMScheduler

    def predict(x: Tensor, t: int) -> Tensor:
        return torch.tanh(3 * x) + t / STEPS

    def peer(clip: bool) -> Tensor:
        scheduler = DDIMScheduler(num_train_timesteps=STEPS, beta_schedule="squaredcos_cap_v2", clip_sample=clip)
        scheduler.set_timesteps(12)
        x = start
        for t in scheduler.timesteps:
            x = scheduler.step(predict(x, int(t)), t, x, eta=0.0).prev_sample
        return x

    start = torch.randn(4, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    own = denoise(start, predict, 12)
    assert torch.allclose(own, peer(clip=False), rtol=1e-3, atol=1e-3)
    assert not torch.allclose(own, peer(clip=True), rtol=1e-1, atol=1e-1)
