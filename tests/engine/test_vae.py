from __future__ import annotations

import math

import pytest
import torch

from expunge.contract.job import Job
from expunge.engine.vae import fit_vae, kl_to_standard
from expunge.facts.errors import InputError


def test_divergence_by_hand() -> None:
    """N(1, e^0) and N(0, e^2): .5 and (e^2 - 3)/2; their sum a row. Fails if: the log variance is taken for the variance."""
    found = kl_to_standard(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]]))
    assert float(found) == pytest.approx(0.5 + (math.e**2 - 3) / 2)


def plane(rows: int, seed: int, shift: float) -> torch.Tensor:
    """Points near a plane through (shift, shift...) of 20 dimensions: far below 0 and above 1."""
    basis = torch.randn(2, 20, generator=torch.Generator().manual_seed(0))
    draw = torch.Generator().manual_seed(seed)
    return shift + 3 * torch.randn(rows, 2, generator=draw) @ basis + 0.1 * torch.randn(rows, 20, generator=draw)


def test_known_representations_are_rebuilt_and_others_are_not() -> None:
    """A share of the variance left: new points of the plane below .2, points beside it above. The released decoder ends in a sigmoid,
    which can say nothing below 0 or above 1. Fails if: outputs are bounded, or the scale is another than the variance's root.
    """
    torch.set_num_threads(1)
    vae = fit_vae(plane(300, 1, -5.0), latent=4, steps=400, kl_weight=0.025, job=Job())
    own, other = (float(vae.errors(plane(100, 2, shift)).mean()) for shift in (-5.0, 5.0))
    assert own < 0.2
    assert other > 2
    values = plane(300, 1, -5.0)
    assert float(vae.scale) ** 2 == pytest.approx(float(values.var(0, correction=0).sum()), rel=1e-4)
    errors = vae.errors(values[:3])
    assert vae.strangeness(values[:3]).tolist() == pytest.approx([math.exp(e / (e + 1)) for e in errors.tolist()])
    assert not any(p.requires_grad for p in vae.parameters())


def test_same_seed_same_autoencoder_and_no_global_draw() -> None:
    """Fails if: weights or noise are drawn from torch's own generator."""
    before = torch.random.get_rng_state()
    first, again, other = (
        fit_vae(plane(50, 1, 0.0), latent=2, steps=5, kl_weight=0.1, job=Job(seed=seed)) for seed in (0, 0, 1)
    )
    assert torch.equal(before, torch.random.get_rng_state())
    at = plane(5, 3, 0.0)
    assert torch.equal(first.errors(at), again.errors(at))
    assert not torch.equal(first.errors(at), other.errors(at))


def test_one_representation_for_all_is_refused() -> None:
    """Fails if: a division by zero fills the autoencoder."""
    with pytest.raises(InputError, match="nothing to learn"):
        fit_vae(torch.ones(4, 20), latent=2, steps=5, kl_weight=0.1, job=Job())
