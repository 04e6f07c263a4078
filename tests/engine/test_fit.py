"""Training by a recipe equals a loop written out, and what leaving rows out changes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from plain_models import arrays, plain_nll, text_model
from torch import nn

from expunge.contract.job import Job
from expunge.engine.fit import fit, seeded
from expunge.engine.loop import rate
from expunge.engine.order import cut, ordered
from expunge.facts.recipe import Recipe

RECIPE = Recipe(epochs=2, lr=1e-2, batch_size=3, weight_decay=0.1, warmup=0.4, clip=0.5, seed=4)


def test_equals_a_loop_written_out() -> None:
    """7 rows of 3 to 12 tokens in batches of 3, 3, 1, two epochs, each in its own order.

    Fails if the mean is over rows (a short answer then weighs more), the last short batch is dropped, epochs share an order, or
    clipping, decay or the schedule (cosine after 3 of 6 steps) is not the recipe's.
    """
    model, rows = text_model("llama")
    twin = model.copy()
    job = Job(seed=0)
    fit(model, rows, RECIPE, job=job)
    matrices = [p for p in twin.module.parameters() if p.ndim > 1]
    vectors = [p for p in twin.module.parameters() if p.ndim == 1]
    adam = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}])
    batches = [indices for epoch in range(2) for indices in cut(ordered(rows, 4, epoch), 3)]
    assert [len(one) for one in batches] == [3, 3, 1, 3, 3, 1]
    seen = []
    for step, indices in enumerate(batches):
        nll = plain_nll(twin, rows.take(indices))
        seen.append(nll.detach())
        adam.zero_grad()
        nll.mean().backward()
        nn.utils.clip_grad_norm_(list(twin.module.parameters()), 0.5)
        for group in adam.param_groups:
            group["lr"] = 1e-2 * rate(step, 6, 0.4, "cosine")
        adam.step()
    for (name, one), other in zip(model.module.named_parameters(), twin.module.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=2e-5, msg=lambda text, name=name: f"{name}: {text}")
    assert job.notes["fit_loss"] == pytest.approx(float(torch.cat(seen[3:]).mean()), rel=1e-4)
    assert job.notes["fit_epochs"] == 2
    assert job.notes["optimiser_steps"] == 6


def test_a_part_trained_apart_draws_by_its_own_seed_alone() -> None:
    """Fails if noise goes on where the part before stopped, dropout draws from the caller's global generator, or that one moves."""
    job = Job(seed=0)
    drawn = []
    for seed in (1, 2, 1):
        torch.rand(1)
        state = torch.random.get_rng_state()
        with seeded(job, seed) as own:
            drawn.append((torch.rand(1, generator=own.generator).item(), torch.rand(1).item()))
            own.notes["seen"] = seed
        assert torch.equal(state, torch.random.get_rng_state())
    assert drawn[0] == drawn[2] != drawn[1]
    assert (
        torch.rand(1, generator=job.generator).item()
        == torch.rand(1, generator=torch.Generator().manual_seed(0)).item()
    )
    assert job.notes == {"seen": 1}


def test_leaving_rows_out_does_not_reshuffle_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retrained and target models meet the rows they share in one order. Fails if the order is drawn over indices."""
    model, rows = text_model("llama")
    read: list[str] = []
    real = type(model).pack

    def note(self: Any, given: Any) -> Any:
        read.extend(row.id for row in given)
        return real(self, given)

    monkeypatch.setattr(type(model), "pack", note)
    fit(model.copy(), rows, RECIPE, job=Job())
    whole, read[:] = list(read), []
    fit(model.copy(), rows.take([6, 5, 3, 2, 1]), RECIPE, job=Job())
    assert sorted(whole) == sorted(rows.ids * 2)
    assert read == [key for key in whole if key not in ("r0", "r4")]


def test_stop_loss_ends_after_an_epoch_below_it() -> None:
    """Fails if one batch below the bound ends training, or epochs go on although the whole one was below."""
    model, rows = arrays(nn.Linear(4, 3), (4,))
    start = {name: value.clone() for name, value in model.module.state_dict().items()}

    def train(**more: Any) -> dict[str, Any]:
        model.module.load_state_dict(start)
        job = Job()
        fit(model, rows, Recipe(lr=1e-3, batch_size=3, schedule="constant", warmup=0.0, **more), job=job)
        return job.notes

    losses = [train(epochs=epochs)["fit_loss"] for epochs in range(1, 7)]
    assert losses == sorted(losses, reverse=True)
    notes = train(epochs=40, stop_loss=losses[3] + 1e-5)
    assert (notes["fit_epochs"], notes["optimiser_steps"]) == (4, 12)
    assert notes["fit_loss"] == pytest.approx(losses[3], rel=1e-5)


def test_the_result_is_the_recipes_whatever_the_job_draws() -> None:
    """Fails if rows are ordered under the job's seed: a retrained model's recipe would not say how it was made."""
    model, rows = text_model("llama")
    first, second = (fit(model.copy(), rows, RECIPE, job=Job(seed=seed)) for seed in (1, 2))
    other = fit(model.copy(), rows, RECIPE.model_copy(update={"seed": 5}), job=Job(seed=1))
    weights = [one.module.get_input_embeddings().weight for one in (first, second, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_train_mode_while_training_and_everything_moves() -> None:
    """Running statistics move, and a frozen parameter is freed. Fails if training runs in eval mode, or leaves train mode behind."""
    module = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 3))
    model, rows = arrays(module, (4,))
    module[0].weight.requires_grad_(False)
    module.train(False)
    before = module[0].weight.clone()
    fit(model, rows, RECIPE.model_copy(update={"batch_size": 7}), job=Job())
    assert int(module[1].num_batches_tracked) == 2
    assert not torch.equal(module[0].weight, before)
    assert not module.training


def test_noise_comes_from_the_jobs_generator() -> None:
    """Fails if a loss's noise is drawn from the global generator, or twice a step."""
    results = []
    for seed, noise in ((1, 5), (1, 6), (2, 5)):
        torch.manual_seed(0)
        model, rows = arrays(nn.Linear(4, 3), (4,))
        model.noisy = True
        torch.manual_seed(noise)
        fit(model, rows, RECIPE, job=Job(seed=seed))
        results.append(model.module.weight.detach().clone())
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])
