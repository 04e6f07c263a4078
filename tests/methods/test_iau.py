from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from classifiers import mean_interval
from digits_seeds import REPORTED
from passes import Passes, counted
from tiny_problems import Tiny
from told_members import Membership, mean_membership, membership
from torch import Tensor, nn

from expunge.contract.apply import unlearn
from expunge.contract.job import Job
from expunge.contract.mask import Mask
from expunge.contract.model import Batch, Capabilities, Model, Sites
from expunge.contract.splits import Splits
from expunge.contract.weights import weights_digest
from expunge.engine.fit import fit
from expunge.engine.fit_many import fit_many
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Row, Rows
from expunge.methods.iau import IAU
from expunge.methods.influence import Influence
from expunge.modalities.vision import Images, vision_model
from expunge.sources.digits import Digits
from expunge.statistics.bounds import Bounds


@dataclass
class TwoWeights:
    """loss(row) = (theta . x - y)^2 / 2."""

    module: nn.Linear = field(default_factory=lambda: nn.Linear(2, 1, bias=False))
    modality: str = "tabular"
    capabilities: Capabilities = Capabilities(logits=False)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def __post_init__(self) -> None:
        with torch.no_grad():
            self.module.weight.copy_(torch.tensor([[1.0, 2.0]]))

    def pack(self, rows: Any) -> Batch:
        x, y = torch.tensor([row["x"] for row in rows]), torch.tensor([row["y"] for row in rows])
        return Batch({"x": x}, y, torch.arange(len(x)), len(x))

    pack_apart = pack

    def total_loss(self, batch: Batch, noise: Tensor | None = None) -> Tensor:
        return (self.module(batch.inputs["x"])[:, 0] - batch.targets).square() / 2

    def noise(self, batch: Batch, generator: torch.Generator) -> None:
        return None

    def sites(self) -> Sites:
        return Sites()

    def copy(self) -> TwoWeights:
        twin = TwoWeights()
        twin.module = copy.deepcopy(self.module)
        return twin


def rows_of(name: str, *given: tuple[list[float], float]) -> Rows:
    return Rows(tuple(Row(id=f"{name}{i}", fields={"x": x, "y": y}) for i, (x, y) in enumerate(given)), name)


FORGET = rows_of("f", ([1.0, 0.0], 0.0), ([0.0, 1.0], -1.0))
RETAIN = rows_of("r", ([2.0, 0.0], 0.0), ([0.0, 0.0], 5.0), ([0.0, 1.0], 0.0), ([0.0, 2.0], 4.0))


def step(method: IAU, **options: Any) -> list[float]:
    model, _ = unlearn(method, TwoWeights(), Splits.of(forget=FORGET, retain=RETAIN), **options)  # type: ignore[arg-type]
    return model.module.weight[0].tolist()


def test_one_step_by_hand() -> None:
    """Residuals at theta = (1, 2): forget 1, 3, mean gradient (.5, 1.5); retain 2, -5, 2, 0, mean gradient (1, .5).

    theta - .1 ((1, .5) - (.5, 1.5)) = (.95, 2.1). The released script takes one Adam step, which moves every entry by lr whatever its
    gradient: (.9, 2.1). Fails if: it is an Adam step, either mean is a sum, or the retain correction is left out ((1.05, 2.15)).
    """
    assert step(IAU(lr=0.1)) == pytest.approx([0.95, 2.1])
    assert step(IAU(lr=0.2)) == pytest.approx([0.9, 2.2])


def test_mask_holds_entries() -> None:
    """Fails if: a masked entry moves."""
    mask = Mask({"weight": torch.tensor([[False, True]])})
    assert step(IAU(lr=0.1), job=Job(mask=mask)) == pytest.approx([1.0, 2.1])


@pytest.mark.parametrize(("alpha", "wanted"), [(0.0, 0.5), (1.0, 0.4)])
def test_restricted_training_by_hand(alpha: float, wanted: float) -> None:
    """One plain gradient step of length .1 on the row ((1, 0), y = -4): residual 5, gradient (5, 0), |gradient| = 5 |x|.

    d |gradient| / d theta = (1, 0): theta_1 = 1 - .1 (5 + alpha) = .5 and .4. Fails if: the penalty is the squared norm, or has no
    gradient.
    """
    recipe = Recipe(
        epochs=1, lr=0.1, batch_size=1, warmup=0.0, schedule="constant", optimiser="sgd", momentum=0.0, clip=None
    )
    model = TwoWeights()
    IAU(alpha=alpha).prepare(model, rows_of("a", ([1.0, 0.0], -4.0)), recipe, Job())  # type: ignore[arg-type]
    assert model.module.weight[0].tolist() == pytest.approx([wanted, 2.0], abs=1e-5)


def test_without_restriction_it_trains_as_usual(clouds: Tiny) -> None:
    """alpha 0 is the recipe bit for bit. Fails if: fit changes where no penalty is given, or the penalty is not handed on."""
    rows = Rows((*clouds.forget, *clouds.retain))

    def prepared(alpha: float) -> Any:
        return IAU(alpha=alpha).prepare(clouds.target.fresh(0), rows, clouds.recipe, Job(seed=0))  # type: ignore[attr-defined]

    plain = prepared(0.0)
    usual = fit(clouds.target.fresh(0), rows, clouds.recipe, job=Job(seed=0))
    assert weights_digest(plain.module) == weights_digest(usual.module)
    assert weights_digest(prepared(0.05).module) != weights_digest(usual.module)


def accuracies(model: Any, splits: Splits) -> np.ndarray:
    found = []
    for name in ("forget", "retain", "test"):
        batch = model.pack(splits.rows[name])
        found.append(float((model.logits(batch).argmax(-1) == batch.targets).float().mean()))
    return 100 * np.array(found)


SOLVED = {"cg": Influence(damping=0.1, alpha=10.0, iterations=40), "lissa": Influence(solver="lissa", damping=0.1, alpha=10.0, iterations=40),
          "cg stopped": Influence(damping=0.1, alpha=10.0, iterations=3)}  # fmt: skip


def restricted(alpha: float, blank: Any, everything: Rows, retain: Rows, recipe: Recipe) -> list[Model]:
    """The target, then ten retrained models, all trained with that restriction; without one they can be trained together."""
    seeds = range(recipe.seed, recipe.seed + 11)
    models, rows = [blank.fresh(seed) for seed in seeds], [everything, *[retain] * 10]
    recipes = [recipe.model_copy(update={"seed": seed}) for seed in seeds]
    if not alpha:
        fit_many(models, rows, recipes, job=Job())
        return models
    return [
        IAU(alpha=alpha).prepare(model, on, own, Job(seed=own.seed))
        for model, on, own in zip(models, rows, recipes, strict=True)
    ]


def class_run(
    seed: int, alphas: tuple[float, ...], rates: tuple[float, ...]
) -> tuple[dict[Any, float], dict[Any, Membership], dict[Any, Passes]]:
    """Forget the threes: mean gap to retrained (trained alike) over forget, retain and test accuracy, by (alpha, lr); what membership
    attacks say, and what went through the model. From the target of the last alpha second-order steps are taken too, by solver."""
    found = Digits(forget="class=3", seed=seed).run()
    splits = Splits.of(**{name: found[name] for name in ("forget", "retain", "holdout", "test")})
    everything = Rows((*splits.rows["forget"], *splits.rows["retain"]))
    recipe = Recipe(epochs=15, lr=3e-3, batch_size=64, seed=seed)
    images = Images(shape=(1, 8, 8), mean=(0.3,), std=(0.38,))
    blank = vision_model("mlp", images=images, classes=10, seed=seed, width=128, depth=1)
    gaps: dict[Any, float] = {}
    seen: dict[Any, Membership] = {}
    passes: dict[Any, Passes] = {}
    for alpha in alphas:
        target, *again = restricted(alpha, blank, everything, splits.rows["retain"], recipe)
        wanted = np.mean([accuracies(one, splits) for one in again], 0)
        gaps["nothing", alpha] = float(np.abs(accuracies(target, splits) - wanted).mean())
        gaps["floor", alpha] = float(np.abs(accuracies(again[0], splits) - wanted).mean())
        seen["nothing", alpha], seen["retrained", alpha] = (
            membership(target, splits),
            mean_membership(tuple(again), splits),
        )
        methods: dict[Any, Any] = {(alpha, lr): IAU(alpha=alpha, lr=lr) for lr in rates}
        for name, method in (methods | (SOLVED if alpha == alphas[-1] else {})).items():
            with counted(target) as passes[name]:
                model, _ = unlearn(method, target, splits)
            gaps[name], seen[name] = float(np.abs(accuracies(model, splits) - wanted).mean()), membership(model, splits)
    rows = len(everything)
    assert all(passes[alpha, lr] == Passes(rows, rows) for alpha in alphas for lr in rates)
    passes["retraining"] = Passes(
        recipe.epochs * len(splits.rows["retain"]), recipe.epochs * len(splits.rows["retain"])
    )
    return gaps, seen, passes


def test_claim_one_step_is_near_retrained() -> None:
    """P063 on seed 0; lr 1 set on seed 900. Fails if: the step is turned over, restriction makes long steps no safer, the attack still
    finds members, or a step takes more than one pass over the rows."""
    gaps, seen, passes = class_run(0, (0.0, 0.05), (1.0, 3.0))
    assert gaps["nothing", 0.0] > 25
    assert seen["nothing", 0.05].efficacy < 15
    assert seen[0.05, 1.0].gap(seen["retrained", 0.05]).efficacy < 10
    assert min(passes["cg"].both, passes["lissa"].both) > 15 * passes[0.05, 1.0].both
    assert gaps[0.05, 1.0] < 5
    assert gaps[0.05, 3.0] < gaps[0.0, 3.0] - 2


@pytest.mark.slow
def test_claim_restriction_makes_longer_steps_safe() -> None:
    """P063, five draws, mean gap to ten models retrained alike in points: do nothing 33.5, one retrained beside the ten .04 to .08.

    lr 1: alpha 0 .9 [-.3, 2.1], .005 1.1 [-1.0, 3.3], .3 13.0 [3.3, 22.8]. lr 3: alpha 0 8.0 [2.8, 13.3], .005 6.0 [1.8, 10.2], .3 .9
    [.4, 1.3]. So one step is near retrained. That it is worse without restriction holds of a long step (lr 3: .005 beside 0 -2.0 [-3.6,
    -.4], .3 -7.2 [-12.3, -2.0]); at a short one .005 makes no difference (.2 [-.9, 1.4]) and .3 is behind (12.2 [3.5, 20.8]). At its own
    best step the unrestricted target comes as near (.3 at lr 3 beside 0 at lr 1: -.03 [-1.6, 1.5]), so that the claim holds for how long
    a step may be, not for how near the best one comes.

    Membership at alpha .005, lr 1: an SVC on confidence calls 96 to 100% of the forget rows non-members (retrained 100, do nothing 0 to
    1), .8 [-1.5, 3.1] from retrained; the AUC of the loss is 3.3 [-1.2, 7.9] from theirs, do nothing 6.4 [2.6, 10.3]: it tells little on
    a class. Rows forward and backward: one pass over forget and retain, 7% of retraining over 15 epochs (under 1% from 108 epochs on).
    From the same target CG until it converges passes over 29 to 35 times as many and LiSSA of 40 steps 39 times (gaps .2 and .8); CG
    stopped after 3 iterations 4.3 times, and is as near (one step beside it .2 [-.2, .6]): the saving is large against solvers that run
    to the end, and fourfold against one that need not. Fails if: the step is turned over, or the penalty is lost.
    """
    draws = []
    for seed in REPORTED:
        gaps, seen, passes = class_run(seed, (0.0, 0.3, 0.005), (1.0, 3.0))
        draws.append((gaps, seen[0.005, 1.0].gap(seen["retrained", 0.005])))
        assert gaps["nothing", 0.005] > 25
        assert seen["nothing", 0.005].efficacy < 15
        step = passes[0.005, 1.0].both
        assert 0.05 < step / passes["retraining"].both < 0.08
        assert min(passes["cg"].both, passes["lissa"].both) > 15 * step
        assert 3 < passes["cg stopped"].both / step < 6

    def beside(one: Any, other: Any) -> Bounds:
        """What the first's gap is above the second's."""
        return mean_interval([gaps[one] - gaps[other] for gaps, _ in draws])

    assert max(mean_interval(values).high for values in zip(*(away for _, away in draws), strict=True)) < 10
    assert mean_interval([gaps[0.005, 1.0] for gaps, _ in draws]).high < 6
    for longer in (0.005, 0.3):
        assert beside((longer, 3.0), (0.0, 3.0)).high < 0
    for one, other in (((0.005, 1.0), (0.0, 1.0)), ((0.3, 3.0), (0.0, 1.0)), ((0.005, 1.0), "cg stopped")):
        same = beside(one, other)
        assert same.low < 0 < same.high
    assert beside((0.3, 1.0), (0.0, 1.0)).low > 0
