from __future__ import annotations

import copy
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from classifiers import mean_interval
from digits_class import Accuracies
from passes import Passes, counted
from tiny_problems import Tiny
from torch import Tensor, nn

from expunge.contract.apply import unlearn
from expunge.contract.job import Job
from expunge.contract.mask import Mask
from expunge.contract.model import Batch, Capabilities, Question, Sites
from expunge.contract.splits import Splits
from expunge.contract.weights import weights_digest
from expunge.engine.influence import Solver, removal
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Row, Rows
from expunge.methods.influence import Influence
from expunge.modalities.vision import Images, vision_model
from expunge.sources.digits import Digits
from expunge.testbeds.problem import train_problem

GAMMA = 4.0
"""Ridge, beside the sum of the losses."""


@dataclass
class Linear:
    """A linear model of rows with x and y: half the squared error (numbers), or cross-entropy (labels)."""

    module: nn.Linear
    labels: bool = False
    modality: str = "tabular"
    capabilities: Capabilities = field(init=False)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def __post_init__(self) -> None:
        self.capabilities = Capabilities(logits=self.labels)

    def pack(self, rows: Any) -> Batch:
        x, y = torch.tensor([row["x"] for row in rows]), torch.tensor([row["y"] for row in rows])
        return Batch({"x": x}, y, torch.arange(len(x)), len(x))

    pack_apart = pack

    def questions(self, rows: Any) -> list[Question]:
        return [Question(row.id, row["x"], {"label": row["y"]}) for row in rows]

    def question_cost(self, question: Question) -> int:
        return 1

    def logits(self, batch: Batch) -> Tensor:
        return self.module(batch.inputs["x"])

    def total_loss(self, batch: Batch, noise: Tensor | None = None) -> Tensor:
        if self.labels:
            return nn.functional.cross_entropy(self.logits(batch), batch.targets, reduction="none")
        return (self.logits(batch)[:, 0] - batch.targets).square() / 2

    def noise(self, batch: Batch, generator: torch.Generator) -> None:
        return None

    def sites(self) -> Sites:
        return Sites()

    def copy(self) -> Linear:
        return Linear(copy.deepcopy(self.module), self.labels)


def table(count: int, *, labels: bool) -> Rows:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(count, 6)).astype(np.float32)
    y = x @ draw.normal(size=6) + 0.5 * draw.normal(size=count)
    values = (y > 0).astype(int) + (y > 2) if labels else y.astype(np.float32)
    return Rows(tuple(Row(id=str(i), fields={"x": x[i].tolist(), "y": values[i].item()}) for i in range(count)))


def ridge(rows: Rows) -> Tensor:
    """Weight and bias, both penalised: (X^T X + gamma)^-1 X^T y in float64."""
    x = torch.tensor([[*row["x"], 1.0] for row in rows], dtype=torch.float64)
    y = torch.tensor([row["y"] for row in rows], dtype=torch.float64)
    return torch.linalg.solve(x.T @ x + GAMMA * torch.eye(7, dtype=torch.float64), x.T @ y)


def linear(values: Tensor) -> Linear:
    module = nn.Linear(6, 1)
    with torch.no_grad():
        module.weight.copy_(values[None, :6])
        module.bias.copy_(values[6:])
    return Linear(module)


def flat(model: Any) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.module.parameters()]).double()


@pytest.mark.parametrize(("settings", "bound"), [
    ({"solver": "cg"}, 1e-4), ({"solver": "lissa", "iterations": 500}, 1e-3), ({"solver": "ekfac", "draws": 100}, 0.15),
])  # fmt: skip
def test_ridge_regression_is_solved_in_one_step(settings: dict[str, Any], bound: float) -> None:
    """40 of 200 rows leave; theta + (1/160)(G + gamma/160)^-1 sum of their gradients is the ridge of the rest.

    EK-FAC's factors of one linear layer with one output are exact but for the drawn noise. The distance left is a share of that between the
    two exact solutions. Fails if: the step is turned over, the curvature is of all rows, or the gradient is a mean.
    """
    rows = table(200, labels=False)
    forget, retain = rows[:40], rows[40:]
    target, wanted = linear(ridge(rows)), ridge(retain)
    method = Influence(damping=GAMMA / 160, **settings)
    model, _ = unlearn(method, target, Splits.of(forget=forget, retain=retain))  # type: ignore[arg-type]
    assert float((flat(model) - wanted).norm() / (flat(target) - wanted).norm()) < bound


def regression(rows: Rows) -> Linear:
    """A logistic regression at the optimum of sum of losses + gamma/2 |weights|^2."""
    model = Linear(nn.Linear(6, 3), labels=True)
    weights = list(model.module.parameters())
    batch = model.pack(rows)
    step = torch.optim.LBFGS(weights, max_iter=500, line_search_fn="strong_wolfe", tolerance_grad=1e-6)

    def loss() -> Tensor:
        step.zero_grad()
        found = model.total_loss(batch).sum() + GAMMA / 2 * sum(w.square().sum() for w in weights)
        found.backward()
        return found

    step.step(loss)
    model.module.zero_grad(set_to_none=True)
    return model


def test_logistic_regression_is_near_retrained() -> None:
    """30 of 200 rows leave: 7% of the way to the retrained optimum are left over, by CG and LiSSA alike; half the step leaves 46%.

    Fails if: labels enter the curvature's sign, alpha is not applied, or the damping is not the regulariser's share.
    """
    torch.manual_seed(0)
    rows = table(200, labels=True)
    forget, retain = rows[:30], rows[30:]
    target, wanted = regression(rows), flat(regression(retain))
    whole = float((flat(target) - wanted).norm())
    left = {}
    for solver, alpha in (("cg", 1.0), ("lissa", 1.0), ("cg", 0.5)):
        method = Influence(solver=solver, alpha=alpha, damping=GAMMA / 170, iterations=400)
        model, _ = unlearn(method, target, Splits.of(forget=forget, retain=retain))  # type: ignore[arg-type]
        left[solver, alpha] = float((flat(model) - wanted).norm()) / whole
    assert left["cg", 1.0] < 0.2
    assert left["lissa", 1.0] < 0.2
    assert 0.35 < left["cg", 0.5] < 0.65


def test_the_model_returned_is_the_one_that_moved(clouds: Tiny) -> None:
    """A peer builds its optimiser over another model than the one it returns. What comes back is target + alpha * step, entry by entry, and
    the target stays. Fails if: the step goes to a copy, or to the caller's model."""
    before = weights_digest(clouds.target.module)
    model, facts = clouds.run(Influence(alpha=2.0, damping=0.1))
    assert weights_digest(clouds.target.module) == before
    step = removal(clouds.target, clouds.forget, clouds.retain, job=Job(seed=0), solver=Solver(kind="cg", damping=0.1))
    old = dict(clouds.target.module.named_parameters())
    for name, parameter in model.module.named_parameters():
        torch.testing.assert_close(parameter, old[name] + 2.0 * step[name])
    assert facts.notes["step_norm"] == pytest.approx(2 * float(torch.cat([s.flatten() for s in step.values()]).norm()))


def test_scope_and_mask_hold(clouds: Tiny) -> None:
    """Fails if: an entry outside the mask moves, or the solve over the layers in scope takes in the others."""
    old = dict(clouds.target.module.named_parameters())
    entries = {name: torch.zeros_like(p, dtype=torch.bool) for name, p in old.items()}
    entries["head.weight"][2] = True
    model, _ = unlearn(Influence(), clouds.target, clouds.splits, job=Job(mask=Mask(entries)))
    moved = {name: int((p != old[name]).sum()) for name, p in model.module.named_parameters()}
    # a rectifier that is never on has no gradient
    assert 0.5 * old["head.weight"].shape[1] < moved.pop("head.weight") <= old["head.weight"].shape[1]
    assert not any(moved.values())
    for solver in ("cg", "ekfac"):
        model, _ = unlearn(Influence(solver=solver), clouds.target, clouds.splits, scope="layers:0")
        assert {name for name, p in model.module.named_parameters() if not torch.equal(p, old[name])} == {
            "blocks.0.linear.weight",
            "blocks.0.linear.bias",
        }


def test_no_solver_depends_on_the_seed(clouds: Tiny) -> None:
    """Fails if: EK-FAC's labels are drawn from the run's generator, though the method says that it is not stochastic."""
    for solver in ("ekfac", "lissa"):
        method = Influence(solver=solver, iterations=20)
        first, second = (clouds.run(method, seed=seed)[0] for seed in (0, 1))
        assert weights_digest(first.module) == weights_digest(second.module)


SEEDS = (0, 1, 2, 3, 4)
"""Seeds of rows and models that claims are reported on; damping and alpha were set on seed 900."""
SOLVERS = {"cg": ("cg", 40), "cg stopped": ("cg", 2), "lissa": ("lissa", 40), "ekfac": ("ekfac", 1)}
"""Kind and iterations, by name."""


@cache
def class_run(seed: int) -> tuple[dict[str, float], dict[str, Passes], tuple[int, int]]:
    """Forget the threes of the digits: gap to the mean of ten retrained models in points; passes, rows to forget and retain.

    The floor is one retrained model beside the nine others.
    """
    torch.set_num_threads(1)
    found = Digits(forget="class=3", seed=seed).run()
    splits = Splits.of(**{name: found[name] for name in ("forget", "retain", "holdout", "test")})
    recipe = Recipe(epochs=10, lr=5e-3, batch_size=64, seed=20 * seed)
    images = Images(shape=(1, 8, 8), mean=(0.3,), std=(0.38,))
    blank = vision_model("mlp", images=images, classes=10, seed=seed, width=64, depth=1)
    problem = train_problem("digits", splits, blank, recipe, retrained=10)
    again, target = [Accuracies.of(one, problem) for one in problem.retrained], problem.target
    gaps = {
        "nothing": Accuracies.of(target, problem).gap(Accuracies.mean(again)),
        "floor": again[0].gap(Accuracies.mean(again[1:])),
    }
    passes = {}
    for name, (solver, iterations) in SOLVERS.items():
        with counted(target) as passes[name]:
            model, facts = unlearn(
                Influence(solver=solver, damping=0.1, alpha=10.0, iterations=iterations), target, splits
            )
        gaps[name] = Accuracies.of(model, problem).gap(Accuracies.mean(again))
        if name == "cg":
            assert facts.notes["cg_iterations"] < 40
    return gaps, passes, (len(splits.rows["forget"]), len(splits.rows["retain"]))


def costs(passes: dict[str, Passes], forget: int, retain: int) -> None:
    """What each solver passes over: fails if one passes more often than it says."""
    assert passes["ekfac"] == Passes(forget + 2 * retain, forget + 2 * retain)
    assert passes["cg stopped"] == Passes(forget + 2 * retain, forget + 4 * retain)
    assert min(passes["cg"].both, passes["lissa"].both) > 15 * passes["ekfac"].both


def test_claim_one_step_forgets_a_class() -> None:
    """Seed 0, gap to ten retrained models in points: do nothing 33.2, CG .6, CG of 2 iterations .2, LiSSA of 40 .2, EK-FAC 2.9; one
    retrained model beside the others .4. Five seeds below.

    Fails if: the step is turned over, the curvature does not spare the retain rows, or a solver passes more often than it says.
    """
    gaps, passes, rows = class_run(0)
    assert gaps["nothing"] > 25
    assert gaps["cg"] < 3
    assert max(gaps["ekfac"], gaps["cg stopped"]) < 8
    costs(passes, *rows)


@pytest.mark.slow
def test_claim_over_five_seeds_holds_by_cg_and_lissa_and_ekfac_lies_further() -> None:
    """Gap to ten retrained models in points, mean with 95% interval; damping .1 and alpha 10 were set with CG.

    Do nothing 33.4 [33.2, 33.6], CG .55 [.33, .77], CG of 2 iterations .28 [.13, .43], LiSSA of 40 .21 [.03, .40]; above that of one
    retrained model (.19) by .36 [.09, .63], .09 [-.19, .37] and .03 [-.27, .32]. EK-FAC 7.4 [-2.0, 16.8] (2.9, 2.4, 6.8, 20.6, 4.4):
    nearer than do nothing by 26.0 [16.6, 35.3], but within 8 points it is not shown, and on each seed it is further than CG of 2
    iterations.

    Rows forward and backward: EK-FAC passes twice over the retain rows, CG once forward and twice backward an iteration: 21 to 23 times
    as many rows; LiSSA 20 times. Stopped after 2 iterations CG needs 1.5 times EK-FAC's: for one step the paper's saving is that of not
    solving to the end. For many queries it is another (engine/test_influence.py). Fails as above.
    """
    runs = [class_run(seed) for seed in SEEDS]
    for _, passes, rows in runs:
        costs(passes, *rows)
    gap = {name: np.array([gaps[name] for gaps, _, _ in runs]) for name in runs[0][0]}
    for name in SOLVERS:
        own, nearer, above = (
            mean_interval(one) for one in (gap[name], gap[name] - gap["nothing"], gap[name] - gap["floor"])
        )
        print(name, gap[name], own, nearer, above)
        assert nearer.high < 0
        assert own.high > 8 if name == "ekfac" else own.high < 3
    assert (gap["ekfac"] > gap["cg stopped"]).all()
