from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from classifiers import mean_interval
from numpy.typing import NDArray
from passes import counted
from plain_models import Arrays, alone, arrays
from scipy.stats import spearmanr
from torch import Tensor, nn

from expunge.contract.job import Job
from expunge.contract.model import Batch, Capabilities
from expunge.engine.fit import fit
from expunge.engine.influence import Solver, scores
from expunge.engine.per_example import gradient_products, gradients
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Row, Rows
from expunge.modalities.vision import Images, vision_model


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@dataclass
class Logistic(Arrays):
    """A linear classifier: its Gauss-Newton matrix is its Hessian."""

    capabilities: Capabilities = Capabilities()

    def logits(self, batch: Batch) -> Tensor:
        return self.module(batch.inputs["x"])


def logistic(count: int = 60) -> tuple[Logistic, Rows]:
    model, rows = arrays(nn.Linear(5, 3), (5,), count)
    return Logistic(model.module), rows


def hessian(model: Logistic, rows: Rows) -> Tensor:
    """The Hessian of the mean loss over rows, by autograd's own, (18, 18)."""
    batch = model.pack(rows)
    weight, bias = (p.detach() for p in model.module.parameters())

    def loss(flat: Tensor) -> Tensor:
        outputs = batch.inputs["x"] @ flat[:15].view(3, 5).T + flat[15:]
        return nn.functional.cross_entropy(outputs, batch.targets)

    return torch.autograd.functional.hessian(loss, torch.cat([weight.flatten(), bias]))


def exact(model: Any, train: Rows, query: Rows, damping: float) -> NDArray[np.float64]:
    """grad_q^T (H + damping)^-1 grad_m / n, each gradient by plain autograd, solved densely in float64."""
    own, asked = (
        torch.stack([torch.cat([g.flatten() for g in one.values()]) for one in alone(model, rows)]).double()
        for rows in (train, query)
    )
    dense = hessian(model, train).double() + damping * torch.eye(18, dtype=torch.float64)
    return (asked @ torch.linalg.solve(dense, own.T) / len(train)).numpy()


def apart(found: NDArray[np.float64], wanted: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


@pytest.mark.parametrize(("kind", "iterations", "bound"), [("cg", 60, 1e-4), ("lissa", 800, 1e-3)])
def test_solvers_meet_the_exact_damped_hessian(kind: str, iterations: int, bound: float) -> None:
    """Logistic regression, 60 rows, 3 queries. Fails if: the damping, the division by the rows or a row's place is wrong."""
    model, rows = logistic(70)
    train, query = rows[:60], rows[60:63]
    solver = Solver(kind=kind, damping=0.01, iterations=iterations)
    found = scores(model, train, query, job=Job(), solver=solver)
    assert found.shape == (3, 60)
    assert apart(found, exact(model, train, query, 0.01)) < bound


def test_ekfac_comes_near_the_exact_damped_hessian() -> None:
    """On one layer with many draws: off by a quarter of the norm, rank correlation .95 (gradients over the damping: 23 times the norm).

    Fails if: the eigenvalues are not refitted, or the solve divides by the damping alone.
    """
    model, rows = logistic(70)
    train, query = rows[:60], rows[60:]
    wanted = exact(model, train, query, 0.01)
    found = scores(model, train, query, job=Job(), solver=Solver(damping=0.01, draws=50))
    assert apart(found, wanted) < 0.35
    assert correlation(found, wanted) > 0.9
    none = gradient_products(model, train, gradients(model, query, job=Job()), job=Job()).T.numpy() / (0.01 * 60)
    assert apart(none, wanted) > 3


def test_lissa_on_some_of_the_rows_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """40 of 60 rows a step: near the exact answer, not on it. Fails if: the steps' rows are not drawn anew, or their mean is over all."""
    monkeypatch.setattr("expunge.engine.influence.BATCH", 40)
    model, rows = logistic(70)
    train, query = rows[:60], rows[60:62]
    found = scores(model, train, query, job=Job(), solver=Solver(kind="lissa", damping=0.05, iterations=200))
    assert 1e-3 < apart(found, exact(model, train, query, 0.05)) < 0.3


def test_a_row_left_out_raises_its_own_loss() -> None:
    """Scores are the change of the loss: of a row on itself never negative, and right for a retrained convex model.

    Damping .05 as a regulariser of the mean loss beside the sum over rows. Fails if: the sign is turned over, or n is missing.
    """
    model, rows = logistic()

    def trained(given: Rows) -> Logistic:
        own = Logistic(nn.Linear(5, 3).double())
        batch, weights = own.pack(given), list(own.module.parameters())
        x = batch.inputs["x"].double()
        step = torch.optim.LBFGS(weights, max_iter=300, line_search_fn="strong_wolfe", tolerance_grad=1e-10)

        def loss() -> Tensor:
            step.zero_grad()
            penalty = 0.05 * len(rows) / 2 * sum(w.square().sum() for w in weights)
            found = nn.functional.cross_entropy(own.module(x), batch.targets, reduction="sum") + penalty
            found.backward()
            return found

        step.step(loss)
        own.module.float()
        return own

    model = trained(rows)
    found = scores(model, rows, rows, job=Job(), solver=Solver(kind="cg", damping=0.05))
    assert (found.diagonal() > 0).all()
    asked = model.pack(rows)
    before = model.total_loss(asked)
    real = [(trained(Rows((*rows[:i], *rows[i + 1 :]))).total_loss(asked) - before).detach().numpy() for i in range(6)]
    assert apart(found[:, :6], np.stack(real, 1)) < 0.15


def test_another_measure_than_the_loss() -> None:
    """The logit of class 2: its gradient is the row's input, in class 2's weights alone. Fails if: the loss is asked all the same."""
    model, rows = logistic()
    query = rows[:4]
    found = scores(
        model,
        rows,
        query,
        job=Job(),
        solver=Solver(kind="cg", damping=0.1),
        measure=lambda batch: model.logits(batch)[:, 2],
    )
    asked = torch.zeros(4, 18)
    asked[:, 10:15] = model.pack(query).inputs["x"]
    asked[:, 17] = 1
    own = torch.stack([torch.cat([g.flatten() for g in one.values()]) for one in alone(model, rows)])
    dense = hessian(model, rows) + 0.1 * torch.eye(18)
    assert apart(found, (asked @ torch.linalg.solve(dense, own.T) / 60).numpy()) < 1e-3


def test_no_queries_and_wrong_solvers() -> None:
    """Fails if: an empty request has no shape, or a damping is invented for cg."""
    model, rows = logistic()
    assert scores(model, rows, rows[:0], job=Job()).shape == (0, 60)
    for wrong in ({"kind": "cg"}, {"kind": "newton"}, {"damping": -1.0}, {"iterations": 0}):
        with pytest.raises(ValueError, match=r"solver|damping|iterations"):
            Solver(**wrong)  # type: ignore[arg-type]


def digits(seed: int, *, train: int, query: int, width: int) -> tuple[Any, Rows, Rows]:
    """A two-hidden-layer MLP on some digits, a tenth of the training labels wrong."""
    from sklearn.datasets import load_digits

    data, draw = load_digits(), np.random.default_rng(seed)
    chosen = draw.permutation(len(data.target))[: train + query]
    labels = data.target[chosen].copy()
    wrong = np.flatnonzero(draw.random(train) < 0.1)
    labels[wrong] = (labels[wrong] + draw.integers(1, 10, len(wrong))) % 10
    rows = [
        Row(id=str(i), fields={"image": (data.images[at] / 16).astype(np.float32), "label": int(label)})
        for i, (at, label) in enumerate(zip(chosen, labels, strict=True))
    ]
    images = Images(shape=(1, 8, 8), mean=(0.3,), std=(0.38,))
    model = vision_model("mlp", images=images, classes=10, seed=seed, width=width, depth=1)
    recipe = Recipe(epochs=30, lr=5e-3, batch_size=32, seed=seed)
    return (
        fit(model, Rows(tuple(rows[:train])), recipe, job=Job(seed=seed)),
        Rows(tuple(rows[:train])),
        Rows(tuple(rows[train:])),
    )


def response(model: Any, train: Rows, query: Rows, gone: list[list[int]], damping: float) -> NDArray[np.float64]:
    """The proximal Bregman response: each query's change of loss once the model stays near its predictions on all rows and its own
    weights (damping), but no longer on the rows of each set of `gone`, (queries, sets). Trained in float64 to the end."""
    model = model.copy()
    module, losses = model.module.double(), nn.CrossEntropyLoss(reduction="none")
    weights = list(module.parameters())
    start = [weight.detach().clone() for weight in weights]
    x, y = model.pack(train).inputs["x"], model.pack(train).targets
    asked = model.pack(query)
    base = torch.log_softmax(module(x), -1).detach()
    before = losses(module(asked.inputs["x"]), asked.targets).detach()
    found = []
    for indices in gone:
        with torch.no_grad():
            for weight, first in zip(weights, start, strict=True):
                weight.copy_(first)
        step = torch.optim.LBFGS(
            weights, max_iter=60, history_size=20, line_search_fn="strong_wolfe", tolerance_grad=1e-8
        )

        def loss(indices: list[int] = indices, step: Any = step) -> Tensor:
            step.zero_grad()
            outputs = module(x)
            far = sum((weight - first).square().sum() for weight, first in zip(weights, start, strict=True))
            near = (base.exp() * (base - torch.log_softmax(outputs, -1))).sum(-1).mean() + damping / 2 * far
            value = near - losses(outputs[indices], y[indices]).sum() / len(train)
            value.backward()
            return value

        step.step(loss)
        found.append((losses(module(asked.inputs["x"]), asked.targets) - before).detach().numpy())
    return np.stack(found, 1)


def correlation(found: NDArray[np.float64], wanted: NDArray[np.float64]) -> float:
    """Mean over queries of Spearman's rank correlation over training rows."""
    return float(np.mean([spearmanr(a, b).statistic for a, b in zip(found, wanted, strict=True)]))


def claim(seed: int, left_out: int, others: int) -> dict[str, float]:
    """Rank correlations with the response of leaving single rows out, and how much the five rows on top, and random fives, change."""
    model, train, query = digits(seed, train=200, query=20, width=32)
    wanted = response(model, train, query, [[i] for i in range(left_out)], 0.1)
    some, job, found = train[:left_out], Job(seed=0), {}
    for kind in ("cg", "ekfac"):
        solver = Solver(kind=kind, damping=0.1, draws=4)
        found[kind] = correlation(scores(model, some, query, job=job, solver=solver, curvature_rows=train), wanted)
    none = gradient_products(model, some, gradients(model, query, job=job), job=job).T.numpy()
    found["none"] = correlation(none, wanted)
    whole = scores(model, train, query, job=job, solver=Solver(damping=0.1, draws=4))
    first, draw = int(np.argmax(whole.max(1))), np.random.default_rng(seed)
    sets = [draw.choice(200, 5, replace=False).tolist() for _ in range(others)]
    change = response(model, train, query, [np.argsort(-whole[first])[:5].tolist(), *sets], 0.1)[first]
    return {**found, "top": float(change[0]), "random": float(np.abs(change[1:]).max())}


def test_claim_ekfac_passes_over_the_rows_twice_whatever_is_asked() -> None:
    """P087's saving: of 1 and of 20 queries EK-FAC's factors take two passes over 200 rows; CG solves for each query anew.

    Counted, rows forward and backward beyond the gradients that both need: EK-FAC 800 and 800, CG until it converges (45 iterations)
    27,000 and 535,800. Fails if: factors are fitted a query, or from more passes than two.
    """
    model, train, query = digits(0, train=200, query=20, width=32)
    solve: dict[tuple[str, int], int] = {}
    for kind in ("ekfac", "cg"):
        for many in (1, 20):
            with counted(model) as whole:
                scores(model, train, query[:many], job=Job(seed=0), solver=Solver(kind=kind, damping=0.1))
            with counted(model) as shared:
                solved = gradients(model, query[:many], job=Job(seed=0))
                gradient_products(model, train, solved, job=Job(seed=0))
            solve[kind, many] = whole.both - shared.both
    assert solve["ekfac", 1] == solve["ekfac", 20] == 4 * len(train)
    assert solve["cg", 1] > 5 * solve["ekfac", 1]
    assert solve["cg", 20] > 100 * solve["ekfac", 20]


def test_claim_ekfac_follows_leaving_rows_out() -> None:
    """P087 on one seed and 10 rows left out; five seeds below. Fails if: EK-FAC's inverse is left out, or turned over."""
    found = claim(0, 10, 2)
    assert found["cg"] > 0.75
    assert found["ekfac"] > found["none"] + 0.05
    assert found["top"] > 2 * found["random"]


@pytest.mark.slow
def test_claim_ekfac_follows_leaving_rows_out_on_five_seeds() -> None:
    """P087: scores follow the proximal Bregman response of leaving each row out, and removing the rows on top changes the query most.

    Digits, MLP of 32, 200 rows, damping .1, 24 rows left out one by one, 20 queries; seed = rows and model. Mean rank correlation with
    95% interval: CG .92 [.86, .98], EK-FAC .45 [.39, .50], plain inner products of gradients .16 [.12, .20]. EK-FAC is above them by
    .28 [.24, .33], and below the exact solver by .47 [.42, .53]: it holds, but explains far less here. The five rows on top raise the
    query's loss by 1.7 (.7 to 2.5), 1.6 [.6, 2.6] more than random fives, which change it by at most .25. The truth is solved to the
    end: no retrained models are drawn.
    Fails if: EK-FAC's inverse is left out, or turned over.
    """
    every = [claim(seed, 24, 3) for seed in range(5)]
    found = {name: np.array([one[name] for one in every]) for name in every[0]}
    own = {name: mean_interval(found[name]) for name in ("cg", "ekfac", "none")}
    above, below = mean_interval(found["ekfac"] - found["none"]), mean_interval(found["cg"] - found["ekfac"])
    top = mean_interval(found["top"] - found["random"])
    print(own, above, below, found["top"], found["random"], top)
    assert own["cg"].low > 0.85
    assert own["ekfac"].low > 0.35
    assert own["ekfac"].high < 0.7
    assert above.low > 0.15
    assert below.low > 0
    assert top.low > 0
    assert (found["top"] > 2 * found["random"]).all()
