"""A small variational autoencoder of representations: what a model's own view of some rows looks like."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from expunge.contract.job import Job
from expunge.facts.errors import InputError

HIDDEN = (128, 32)
"""Widths of the hidden layers, from the representation to the latent; the decoder has them in reverse."""
ROWS = 64
"""Representations of one training step."""


def _stack(widths: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(widths[:-1]):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))


class VAE(nn.Module):
    """Encoder to the mean and log variance of a Gaussian, decoder back; representations are centred and scaled by `shift` and `scale`.

    `scale` is the root of the total variance of what it was trained on: an error of 1 is that of answering the mean.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, width: int, latent: int, shift: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.encoder, self.decoder = _stack((width, *HIDDEN, 2 * latent)), _stack((latent, *HIDDEN[::-1], width))
        self.register_buffer("shift", shift)
        self.register_buffer("scale", scale)

    def parts(self, values: Tensor, noise: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return each row's squared error, (rows,), mean and log variance, (rows, latent); the mean is decoded where noise is None."""
        scaled = (values - self.shift) / self.scale
        mean, log_variance = self.encoder(scaled).chunk(2, dim=-1)
        drawn = mean if noise is None else mean + (log_variance / 2).exp() * noise
        return (self.decoder(drawn) - scaled).square().sum(-1), mean, log_variance

    def errors(self, values: Tensor) -> Tensor:
        """Return the squared error of each row's reconstruction, (rows,)."""
        return self.parts(values, None)[0]

    def strangeness(self, values: Tensor) -> Tensor:
        """Return e^(m / (m + 1)) of each row's error m, (rows,): bounded by e, so that no row is pushed without end."""
        errors = self.errors(values)
        return (errors / (errors + 1)).exp()


def kl_to_standard(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return KL(N(mean, variance) || N(0, 1)) summed over dimensions, (rows,)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1)


def fit_vae(values: Tensor, *, latent: int, steps: int, kl_weight: float, job: Job, lr: float = 1e-3) -> VAE:
    """Return an autoencoder of `values`, (rows, width), frozen: Adam on mean squared error + kl_weight * KL to the standard normal."""
    scale = (values - values.mean(0)).square().sum(-1).mean().sqrt()
    if not float(scale) > 0:
        raise InputError(
            "all rows have one representation, of which there is nothing to learn",
            do="give more rows, or another method",
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**31, (1,), generator=job.generator)))
        vae = VAE(values.shape[1], latent, values.mean(0), scale).to(values)
    adam = torch.optim.Adam(vae.parameters(), lr=lr)
    with torch.enable_grad():
        for _ in job.progress.track(range(steps), total=steps, label="learning representations"):
            chosen = torch.randint(len(values), (min(ROWS, len(values)),), generator=job.generator).to(values.device)
            noise = torch.randn((len(chosen), latent), generator=job.generator).to(values)
            error, mean, log_variance = vae.parts(values[chosen], noise)
            loss = (error + kl_weight * kl_to_standard(mean, log_variance)).mean()
            adam.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
    return vae.requires_grad_(False).eval()
