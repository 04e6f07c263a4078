"""Many models trained in one loop are the models that training one by one gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.engine.fit import fit
from expunge.engine.fit_many import FEWEST, fit_many, trains_together
from expunge.facts.errors import ContractBroken, InputError
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Row, Rows
from expunge.modalities.array_tasks import Classification, Regression
from expunge.modalities.tabular import Features, tabular_model
from expunge.modalities.vision import Images, vision_model

RECIPES = {
    "adamw": Recipe(epochs=4, lr=1e-2, batch_size=8, weight_decay=0.3, clip=0.5),
    "sgd": Recipe(epochs=4, lr=0.05, batch_size=8, optimiser="sgd", weight_decay=0.1, clip=None, schedule="linear"),
    "stopping": Recipe(epochs=30, lr=2e-2, batch_size=8, stop_loss=0.4),
}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def images(n: int) -> Rows:
    draw = np.random.default_rng(0)
    return Rows(
        tuple(
            Row(id=f"i{i}", fields={"image": (draw.normal(size=(4, 4)) + i % 3).astype(np.float32), "label": i % 3})
            for i in range(n)
        )
    )


def blank(seed: int, network: str = "cnn") -> Model:
    return vision_model(network, images=Images(shape=(1, 4, 4)), classes=3, seed=seed, width=4, depth=1)


@pytest.mark.parametrize("network", ["cnn", "mlp"])
@pytest.mark.parametrize("name", RECIPES)
def test_equals_training_one_by_one(name: str, network: str) -> None:
    """Models of 20, 21, 24 and 13 rows: the last has fewer batches, the others a last batch of other sizes.

    Fails if a model sees another's rows or order, empty places count in a mean, clipping takes all models' norm, decay reaches a
    bias, the schedule runs over other steps, or a model that reached its stop loss moves on.
    """
    rows, recipe = images(40), RECIPES[name]
    sets = [rows.take(list(range(start, start + n))) for start, n in ((0, 20), (5, 21), (16, 24), (3, 13))]
    recipes = [recipe.model_copy(update={"seed": seed}) for seed in (3, 4, 5, 6)]
    together = [blank(seed, network) for seed in range(4)]
    fit_many(together, sets, recipes, job=Job())
    ended = set()
    for seed, (model, own, one) in enumerate(zip(together, sets, recipes, strict=True)):
        job = Job(seed=0)
        alone = fit(blank(seed, network), own, one, job=job)
        ended.add(job.notes["fit_epochs"])
        for (label, found), wanted in zip(model.module.named_parameters(), alone.module.parameters(), strict=True):
            torch.testing.assert_close(found, wanted, rtol=0, atol=2e-3 if name != "sgd" else 2e-4, msg=label)
        assert not model.module.training
    assert name != "stopping" or len(ended) > 1, ended


def test_a_regression_trains_together() -> None:
    """Fails if targets are taken for classes."""
    draw = np.random.default_rng(1)
    rows = Rows(tuple(Row(id=str(i), fields={"features": draw.normal(size=3), "label": float(i)}) for i in range(16)))
    recipe = Recipe(epochs=3, lr=1e-2, batch_size=4, optimiser="sgd")

    def made(seed: int) -> Model:
        return tabular_model("mlp", features=Features(width=3), task=Regression(mean=8, std=4), width=8, seed=seed)

    models = [made(0), made(1)]
    fit_many(models, [rows, rows], [recipe, recipe.model_copy(update={"seed": 1})], job=Job())
    alone = fit(made(1), rows, recipe.model_copy(update={"seed": 1}), job=Job())
    for found, wanted in zip(models[1].module.parameters(), alone.module.parameters(), strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4)


BOUNDS = {
    "parameters": ("MOST_ENTRIES", 2 * sum(p.numel() for p in blank(0).module.parameters())),
    "outputs": ("MOST_OUTPUTS", 2 * 8 * 4 * 4 * 4 + 511),
}
"""Two models: of their parameters, or of 8 rows on the stem's 4 channels of 4x4 places (64 entries a row)."""


@pytest.mark.parametrize("kind", BOUNDS)
def test_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Fails if a bound on memory drops models, or lets all through."""
    seen = []
    original = torch.func.stack_module_state
    monkeypatch.setattr("expunge.engine.fit_many.stack_module_state", lambda m: seen.append(len(m)) or original(m))
    monkeypatch.setattr(f"expunge.engine.fit_many.{BOUNDS[kind][0]}", BOUNDS[kind][1])
    monkeypatch.setattr("expunge.engine.fit_many.FEWEST", 2)
    models = [blank(seed) for seed in range(5)]
    before = [next(model.module.parameters()).clone() for model in models]
    fit_many(models, [images(10)] * 5, [RECIPES["adamw"]] * 5, job=Job())
    assert seen == [2, 2, 1]
    assert not any(torch.equal(old, next(model.module.parameters())) for old, model in zip(before, models, strict=True))


def test_models_that_fill_the_processor_are_trained_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the last bit what `fit` gives. Fails if a loop runs that is slower than none."""
    monkeypatch.setattr("expunge.engine.fit_many.MOST_OUTPUTS", FEWEST * 8 * 64 - 1)
    monkeypatch.setattr("expunge.engine.fit_many._together", None)
    recipes = [RECIPES["adamw"].model_copy(update={"seed": seed}) for seed in range(2)]
    models = [blank(0), blank(1)]
    fit_many(models, [images(10), images(12)], recipes, job=Job())
    alone = fit(blank(1), images(12), recipes[1], job=Job())
    for found, wanted in zip(models[1].module.parameters(), alone.module.parameters(), strict=True):
        assert torch.equal(found, wanted)


def test_what_cannot_be_trained_together_is_refused() -> None:
    """Fails if recipes that differ, or models with noise of their own, are trained by the first one's."""
    models, rows = [blank(0), blank(1)], [images(8)] * 2
    with pytest.raises(InputError, match="differ in their seed alone"):
        fit_many(models, rows, [RECIPES["adamw"], RECIPES["sgd"]], job=Job())
    models[1].module.extra = torch.nn.Dropout(0.1)
    assert not trains_together(models[1])
    with pytest.raises(InputError, match="cannot be trained together"):
        fit_many(models, rows, [RECIPES["adamw"]] * 2, job=Job())
    table = tabular_model("mlp", features=Features(width=3), task=Classification(classes=2), width=4)
    assert trains_together(table)


def test_a_loss_that_is_not_finite_is_refused() -> None:
    """Fails if one model's NaN reaches the weights."""
    models = [blank(0), blank(1)]
    with torch.no_grad():
        next(models[1].module.parameters()).fill_(float("nan"))
    with pytest.raises(ContractBroken, match="not finite"):
        fit_many(models, [images(8)] * 2, [RECIPES["adamw"]] * 2, job=Job())
