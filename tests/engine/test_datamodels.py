from __future__ import annotations

import copy
import tracemalloc
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from expunge.contract.job import Job, Remembering
from expunge.contract.mask import Mask
from expunge.contract.model import Batch, Capabilities, Question, Sites
from expunge.engine.datamodels import (
    along,
    centred,
    fit_datamodel,
    influence_step,
    margins,
    match_logits,
    subset_logits,
    trak_step,
)
from expunge.engine.descend import Descent
from expunge.engine.fit import fit
from expunge.facts.errors import InputError
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Row, Rows
from expunge.modalities.array_tasks import Classification
from expunge.modalities.tabular import Features, tabular_model


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def test_a_planted_linear_model_is_found() -> None:
    """Outputs that are linear in 12 masks, a row's own weight twenty times others': found to 5%, and predicted on held-out models.

    Noise alone is predicted at chance. Fails if: the own column is another's, masks are not centred, or what is held out was fitted on.
    """
    draw = np.random.default_rng(0)
    masks = draw.random((200, 12)) < 0.5
    beta = 0.1 * draw.normal(size=(12, 3, 12))
    beta[np.arange(12), :, np.arange(12)] = 2.0 * draw.normal(size=(12, 3))
    outputs = 5 + np.einsum("ma,roa->mro", masks, beta) + 0.05 * draw.normal(size=(200, 12, 3))
    found = fit_datamodel(masks, outputs, own=range(12))
    each = np.stack([-found.without([column]) for column in range(12)], -1)
    assert np.linalg.norm(each - beta) / np.linalg.norm(beta) < 0.05
    np.testing.assert_allclose(found.without([0, 5]), -(each[:, :, 0] + each[:, :, 5]))
    assert found.correlation > 0.97
    assert abs(fit_datamodel(masks, draw.normal(size=(200, 12, 3)), own=range(12)).correlation) < 0.15


def test_a_rows_own_weight_is_the_difference_of_two_means() -> None:
    """By hand, where nothing else is attributed: mean output with the row less mean without it. Fails if: it is shrunk."""
    masks = np.arange(20)[:, None] % 4 == 0
    outputs = np.random.default_rng(0).normal(size=(20, 1, 2)) + 3 * masks[:, :, None]
    found = fit_datamodel(masks, outputs, own=[0])
    wanted = outputs[masks[:, 0]].mean(0) - outputs[~masks[:, 0]].mean(0)
    np.testing.assert_allclose(-found.without([0]), wanted, rtol=1e-9)


def test_leaving_a_set_out_of_ridge_regression() -> None:
    """800 ridge regressions on halves of 60 rows against the exact solution without 6 of them: correlation .97 over rows that go and stay.

    Fails if: the change is of the wrong sign, or of other columns.
    """
    draw = np.random.default_rng(1)
    x = draw.normal(size=(60, 5))
    y = x @ draw.normal(size=5) + draw.normal(size=60)
    y[:6] += 6

    def outputs(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        own = x[mask]
        solved = np.linalg.solve(own.T @ own + 2 * np.eye(5), own.T @ y[mask])
        return np.asarray((x @ solved)[:, None])

    masks = draw.random((800, 60)) < 0.5
    found = fit_datamodel(masks, np.stack([outputs(mask) for mask in masks]), own=range(60))
    stay = np.arange(60) >= 6
    exact = outputs(stay) - outputs(np.ones(60, bool))
    assert np.corrcoef(found.without(range(6)).ravel(), exact.ravel())[0, 1] > 0.9
    assert found.correlation > 0.5


def test_memory_is_that_of_the_outputs() -> None:
    """300 rows, 10 outputs, 20 models: fails if an array of rows by outputs by rows is made (15 times the outputs; 4 GB for an alphabet)."""
    draw = np.random.default_rng(2)
    masks, outputs = draw.random((20, 300)) < 0.5, draw.normal(size=(20, 300, 10))
    tracemalloc.start()
    fit_datamodel(masks, outputs, own=range(300)).without(range(30))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * outputs.nbytes, peak / outputs.nbytes


def test_few_models_are_refused() -> None:
    """Fails if: a regression on nine models is taken for one."""
    with pytest.raises(InputError, match="needs 10"):
        fit_datamodel(np.ones((9, 2), bool), np.ones((9, 2, 1)), own=[0, 1])


@dataclass
class Logistic:
    """A linear classifier of rows with x and y."""

    module: nn.Linear
    modality: str = "tabular"
    capabilities: Capabilities = field(default_factory=Capabilities)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def pack(self, rows: Any) -> Batch:
        x, y = torch.tensor([row["x"] for row in rows]), torch.tensor([row["y"] for row in rows])
        return Batch({"x": x}, y, torch.arange(len(x)), len(x))

    pack_apart = pack

    def questions(self, rows: Any) -> list[Question]:
        return [Question(row.id, row["x"], {"label": row["y"]}) for row in rows]

    def question_cost(self, question: Question) -> int:
        return 1

    def logits(self, batch: Batch) -> Tensor:
        return self.module(batch.inputs["x"])  # type: ignore[no-any-return]

    def total_loss(self, batch: Batch, noise: Tensor | None = None) -> Tensor:
        return nn.functional.cross_entropy(self.logits(batch), batch.targets, reduction="none")

    def noise(self, batch: Batch, generator: torch.Generator) -> None:
        return None

    def sites(self) -> Sites:
        return Sites()

    def copy(self) -> Logistic:
        return Logistic(copy.deepcopy(self.module))


def people(count: int) -> Rows:
    """Rows of six numbers in three classes with overlap."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(count, 6)).astype(np.float32)
    y = x @ draw.normal(size=(6, 3)) + draw.normal(size=(count, 3))
    return Rows(tuple(Row(id=str(i), fields={"x": x[i].tolist(), "y": int(y[i].argmax())}) for i in range(count)))


def regression(rows: Rows) -> Logistic:
    """The optimum of the sum of losses + |weights|^2 / 2."""
    torch.manual_seed(0)
    model = Logistic(nn.Linear(6, 3))
    weights = list(model.module.parameters())
    batch = model.pack(rows)
    rule = torch.optim.LBFGS(weights, max_iter=500, line_search_fn="strong_wolfe", tolerance_grad=1e-6)

    def loss() -> Tensor:
        rule.zero_grad()
        found = model.total_loss(batch).sum() + 0.5 * sum(w.square().sum() for w in weights)
        found.backward()  # type: ignore[no-untyped-call]
        return found

    rule.step(loss)  # type: ignore[no-untyped-call]
    model.module.zero_grad(set_to_none=True)
    return model


def test_leaving_a_set_out_of_logistic_regression() -> None:
    """12 of 150 rows leave: changes of all rows' logits against the exact optimum without them. TRAK on as many directions as there are
    parameters and EK-FAC both follow it. Fails if: a sign turns, (1 - p) is p, or forget rows are other rows.
    """
    rows = people(150)
    forget, retain = rows[:12], rows[12:]
    target, exact = regression(rows), regression(retain)
    batch = target.pack(rows)
    with torch.no_grad():
        wanted = centred(exact.logits(batch)) - centred(target.logits(batch))
    for name, step in (
        ("trak", trak_step(target, forget, retain, projections=21, damping=1e-3, job=Job())),  # type: ignore[arg-type]
        ("ekfac", influence_step(target, forget, retain, job=Job())),  # type: ignore[arg-type]
    ):
        found = along(target, rows, step)  # type: ignore[arg-type]
        correlation = float(np.corrcoef(found.flatten(), wanted.flatten())[0, 1])
        assert correlation > 0.7, (name, correlation)


def table(count: int = 24) -> Rows:
    draw = np.random.default_rng(0)
    return Rows(
        tuple(
            Row(id=f"r{i}", fields={"features": (draw.normal(size=3) + i % 3).astype(np.float32), "label": i % 3})
            for i in range(count)
        )
    )


def small(seed: int = 0) -> Any:
    return tabular_model("mlp", features=Features(width=3), task=Classification(classes=3), width=8, seed=seed)


def test_the_margin_is_the_log_odds() -> None:
    """Fails if: the label's own logit is among the others."""
    model, rows = small(), table()
    with torch.no_grad():
        batch = model.pack(rows)
        p = torch.softmax(model.logits(batch), -1).gather(-1, batch.targets[:, None])[:, 0]
        torch.testing.assert_close(margins(model, batch), (p / (1 - p)).log(), rtol=1e-4, atol=1e-5)


def test_trak_by_plain_gradients() -> None:
    """-sum over k of w_k P_k with (Phi^T Phi + damping tr/k) w = sum over forget of (1 - p) phi, gradients by autograd a row at a time.

    Fails if: the margin is the loss, (1 - p) is lost, or the damping is not a share of the mean eigenvalue.
    """
    model, rows = small(), table()
    forget, retain = rows[:4], rows[4:]
    step = trak_step(model, forget, retain, projections=5, damping=0.2, job=Job(seed=3))
    generator = torch.Generator().manual_seed(3)
    named = dict(model.module.named_parameters())
    ways = {name: torch.randn((5, *p.shape), generator=generator) / 5**0.5 for name, p in named.items()}
    phi, wrong = [], []
    for row in rows:
        logs = torch.log_softmax(model.logits(model.pack([row])), -1)[0, row["label"]]
        grads = torch.autograd.grad(logs - torch.log(1 - logs.exp()), list(named.values()))
        phi.append(
            torch.stack([(ways[name] * g).flatten(1).sum(1) for name, g in zip(named, grads, strict=True)]).sum(0)
        )
        wrong.append(1 - float(logs.detach().exp()))
    table_of = torch.stack(phi).double()
    gram = table_of.T @ table_of
    gram = gram + 0.2 * gram.trace() / 5 * torch.eye(5)
    weights = torch.linalg.solve(gram, table_of[:4].T @ torch.tensor(wrong[:4]).double())
    for name, value in step.items():
        torch.testing.assert_close(value, -torch.tensordot(weights.float(), ways[name], 1), rtol=1e-3, atol=1e-5)


def test_along_is_the_derivative_of_logits() -> None:
    """Against a small step taken. Fails if: the step is left out for a parameter, or logits are not centred."""
    model, rows = small(), table()
    generator = torch.Generator().manual_seed(0)
    step = {name: torch.randn(p.shape, generator=generator) for name, p in model.module.named_parameters()}
    moved = model.copy()
    with torch.no_grad():
        for name, p in moved.module.named_parameters():
            p.add_(1e-3 * step[name])
        found = (centred(moved.logits(moved.pack(rows))) - centred(model.logits(model.pack(rows)))) / 1e-3
    torch.testing.assert_close(along(model, rows, step), found, rtol=2e-2, atol=2e-2)


def test_subsets_are_trained_as_one_by_one_and_once() -> None:
    """Fails if: a model sees another's rows or seed, logits keep their mean, or a cached run trains again or misses what it depends on."""
    rows, recipe = table(), Recipe(epochs=3, lr=1e-2, batch_size=4)
    cache = Remembering()
    job = Job(seed=2, cache=cache)
    masks, found = subset_logits(small(), rows, models=6, share=0.5, recipe=recipe, job=job)
    assert job.notes["models_trained"] == 6
    assert job.notes["rows_trained_on"] == 3 * int(masks.sum())
    own = recipe.model_copy(update={"seed": job.fresh_seed + 4})
    alone = fit(small().fresh(job.fresh_seed + 4), rows.take(np.flatnonzero(masks[4]).tolist()), own, job=Job())
    with torch.no_grad():
        logits = alone.logits(alone.pack(rows)).double().numpy()
    np.testing.assert_allclose(found[4], logits - logits.mean(-1, keepdims=True), atol=2e-3)
    later = Job(seed=2, cache=cache)
    _, again = subset_logits(small(9), rows, models=6, share=0.5, recipe=recipe, job=later)
    np.testing.assert_array_equal(again, found)
    assert later.notes["models_trained"] == 0
    assert later.notes["found_kept"] == ["logits of models on subsets"]
    assert "found_kept" not in job.notes
    subset_logits(small(), rows[:20], models=6, share=0.5, recipe=recipe, job=Job(seed=2, cache=cache))
    subset_logits(small(), rows, models=6, share=0.5, recipe=recipe, job=Job(seed=3, cache=cache))
    assert len(cache) == 3
    with pytest.raises(InputError, match="empty"):
        subset_logits(small(), rows[:2], models=50, share=0.1, recipe=recipe, job=Job())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_another_request_of_the_same_rows_trains_nothing(precision: str) -> None:
    """Rows in another order, as another request has them. Fails if: they train again, or find another row's logits or mask."""
    rows, recipe = table(), Recipe(epochs=1, lr=1e-2, batch_size=4, precision=precision)
    turned, cache = rows.take(list(reversed(range(len(rows))))), Remembering()
    masks, found = subset_logits(small(), rows, models=4, share=0.5, recipe=recipe, job=Job(cache=cache))
    later = Job(cache=cache)
    other, again = subset_logits(small(), turned, models=4, share=0.5, recipe=recipe, job=later)
    assert later.notes["models_trained"] == 0
    np.testing.assert_array_equal(other, masks[:, ::-1])
    np.testing.assert_array_equal(again, found[:, ::-1])
    assert not np.array_equal(again, found)


def test_subset_models_are_no_part_of_the_removal() -> None:
    """Trained one by one, under a mask. Fails if: their steps count towards the removal's, or the mask holds their weights."""
    rows, recipe = table(), Recipe(epochs=2, lr=1e-2, batch_size=4, precision="bfloat16")
    mask = Mask({name: torch.zeros_like(p, dtype=torch.bool) for name, p in small().module.named_parameters()})
    logits = []
    for job in (Job(), Job(mask=mask)):
        logits.append(subset_logits(small(), rows, models=2, share=0.5, recipe=recipe, job=job)[1])
        assert set(job.notes) == {"models_trained", "rows_trained_on"}
    np.testing.assert_array_equal(*logits)


def test_matching_reaches_another_models_logits() -> None:
    """Fails if: a row is to match another row's logits, retain rows are left out, or the mean over classes counts."""
    model, rows = small(), table()
    other = fit(small(5), rows, Recipe(epochs=20, lr=2e-2, batch_size=8), job=Job())
    batch = other.pack(rows)
    with torch.no_grad():
        wanted = other.logits(batch) + 7
    before = model.copy()
    turned = dict(zip(reversed(rows.ids), reversed(list(wanted)), strict=True))
    match_logits(model, turned, rows[:8], rows[8:], descent=Descent(lr=2e-2, epochs=100, batch_size=8), job=Job())
    with torch.no_grad():
        left, start = (
            float((centred(one.logits(batch)) - centred(wanted)).square().sum(-1).mean()) for one in (model, before)
        )
    assert left < 0.1 * start
