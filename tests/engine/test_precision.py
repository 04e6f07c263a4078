"""Training in bfloat16: products are, weights are not, and no weight goes stale."""

from __future__ import annotations

import pytest
import torch
from plain_models import text_model
from torch import nn

from expunge.contract.job import Job
from expunge.engine.fit import fit
from expunge.engine.precision import computing_in
from expunge.facts.recipe import Recipe

RECIPE = Recipe(epochs=6, lr=1e-2, batch_size=3, seed=4, precision="bfloat16")


@pytest.mark.parametrize(("precision", "dtype"), [("bfloat16", torch.bfloat16), ("float32", torch.float32)])
def test_products_are_in_the_precision_asked_for(precision: str, dtype: torch.dtype) -> None:
    """Fails if float32 is lowered too, if the context stays on behind it, or if the kernel that plain attention replaces is left on."""
    layer, flash = nn.Linear(3, 2), torch.backends.cuda.flash_sdp_enabled()
    with computing_in(precision, torch.device("cpu")):
        assert layer(torch.ones(1, 3)).dtype == dtype
        assert torch.backends.cuda.flash_sdp_enabled() == (flash and precision == "float32")
    assert layer(torch.ones(1, 3)).dtype == torch.float32
    assert torch.backends.cuda.flash_sdp_enabled() == flash


def test_training_in_bfloat16_follows_training_in_float32() -> None:
    """Six epochs over 7 rows bring the loss down alike. Fails if one context spans the steps: autocast then goes on with the first
    step's copies of the weights and nothing is learnt (measured: 8.2 nats where 7.0 is reached); or if the recipe's precision is not read.
    """
    model, rows = text_model("llama")
    low, full = Job(), Job()
    changed = fit(model.copy(), rows, RECIPE, job=low)
    other = fit(model.copy(), rows, RECIPE.model_copy(update={"precision": "float32"}), job=full)
    pairs = list(zip(changed.module.parameters(), other.module.parameters(), strict=True))
    assert all(one.dtype == torch.float32 for one, _ in pairs)
    assert any(not torch.equal(one, two) for one, two in pairs)
    assert low.notes["fit_loss"] == pytest.approx(full.notes["fit_loss"], rel=0.02)
