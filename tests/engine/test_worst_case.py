from __future__ import annotations

from functools import cache
from statistics import fmean
from typing import Any

import numpy as np
import pytest
import torch
from classifiers import mean_interval
from torch import Tensor

from expunge.contract.apply import unlearn
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.contract.weights import weights_digest
from expunge.engine.fit import fit
from expunge.engine.fit_many import fit_many
from expunge.engine.worst_case import Search, capped_simplex, largest, worst_case
from expunge.facts.errors import InputError
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Rows
from expunge.methods.finetune import Finetune
from expunge.methods.random_label import RandomLabel
from expunge.modalities.vision import vision_model
from expunge.sources.digits import Digits
from expunge.statistics.bounds import Bounds
from expunge.testbeds.vision import IMAGES

RECIPE = Recipe(epochs=25, lr=6e-3, batch_size=64)
SEARCH = Search(rounds=3, passes=4)


@cache
def noisy_digits(seed: int = 0) -> tuple[Model, Rows]:
    """A target that learnt 600 digits by heart, a fifth under a wrong label; and the rows."""
    torch.set_num_threads(1)
    found = Digits(forget="random=0.1", holdout=0.0, label_noise=0.2, test=0.5, seed=seed).run()
    every = sorted((*found["forget"], *found["retain"]), key=lambda row: row.id)[:600]
    blank = vision_model("mlp", images=IMAGES, classes=10, seed=100 + seed, width=128, depth=1)
    rows = Rows(tuple(every), "train")
    return fit(blank, rows, RECIPE.model_copy(update={"seed": 100 * seed}), job=Job(seed=100 * seed)), rows


@torch.no_grad()
def wrong(model: Model, rows: Rows) -> float:
    batch = model.pack(rows)
    return 100 * float((model.logits(batch).argmax(-1) != batch.targets).float().mean())


def split(rows: Rows, chosen: tuple[int, ...]) -> Splits:
    gone = set(chosen)
    parts = [Rows(tuple(row for i, row in enumerate(rows) if (i in gone) == side)) for side in (True, False)]
    return Splits.of(forget=parts[0], retain=parts[1])


def random_set(rows: Rows, count: int, seed: int) -> tuple[int, ...]:
    return tuple(torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))[:count].tolist())


def test_projection_is_the_nearest_point_of_the_capped_simplex() -> None:
    """By hand: (1.5, .5, .2) to a sum of 1.4 is (1, .35, .05). Against a general solver on drawn points.

    Fails if: the cap or the floor is left out, or the sum is off.
    """
    from scipy.optimize import minimize

    found = capped_simplex(torch.tensor([1.5, 0.5, 0.2], dtype=torch.float64), 1.4)
    assert found.tolist() == pytest.approx([1.0, 0.35, 0.05], abs=1e-9)
    draw = torch.Generator().manual_seed(0)
    for total in (1.0, 2.5, 4.0):
        values = 2 * torch.randn(5, generator=draw, dtype=torch.float64)
        best: Any = minimize(
            lambda w, v=values: ((w - v.numpy()) ** 2).sum(),
            [total / 5] * 5,
            bounds=[(0, 1)] * 5,
            constraints={"type": "eq", "fun": lambda w, t=total: w.sum() - t},
        )
        found = capped_simplex(values, total)
        assert float(found.sum()) == pytest.approx(total, abs=1e-9)
        assert found.tolist() == pytest.approx(best.x.tolist(), abs=1e-4)


def test_rounding_takes_the_largest_and_of_equal_ones_the_first() -> None:
    """Fails if: the smallest are taken, or ties depend on the sort."""
    assert largest(torch.tensor([0.2, 0.9, 0.5, 0.5]), 2).tolist() == [0, 1, 1, 0]


def plainly(target: Model, rows: Rows, groups: list[int], search: Search, count: int) -> tuple[list[float], Tensor]:
    """The search in plain tensors, one batch a pass: the upper loss of each round and the last weights."""
    batch, group = target.pack(rows), torch.tensor(groups)
    sizes = torch.bincount(group)
    weights, losses = torch.full((len(sizes),), count / len(sizes), dtype=torch.float64), []
    for _ in range(search.rounds):
        model = target.copy()
        for _ in range(search.passes):
            model.module.zero_grad()
            each = torch.nn.functional.cross_entropy(model.module(batch.inputs["x"]), batch.targets, reduction="none")
            ((1 - weights[group].float()) * each).sum().backward()
            with torch.no_grad():
                for one in model.module.parameters():
                    assert one.grad is not None
                    one -= search.lr * one.grad.sign()
        with torch.no_grad():
            each = torch.nn.functional.cross_entropy(model.module(batch.inputs["x"]), batch.targets, reduction="none")
        mean = torch.stack([each[group == k].mean() for k in range(len(sizes))]).double()
        losses.append(float((weights * mean).sum()))
        weights = capped_simplex(weights - search.step * (mean + 2 * search.gamma * weights), count)
    return losses, weights


@pytest.mark.parametrize("groups", [list(range(40)), [0] * 25 + [1] * 10 + [2] * 5], ids=["rows", "groups"])
def test_search_is_sign_steps_below_and_projected_steps_above(groups: list[int]) -> None:
    """Three rounds: theta - lr sign(sum (1 - w) grad), then w - step (mean loss + 2 gamma w), on plain tensors.

    Fails if: the lower step keeps rows by w, or takes the gradient itself; the upper level climbs; gamma is lost; a group counts by its sum.
    """
    target, rows = noisy_digits()
    count = len(set(groups)) // 3
    search = Search(rounds=3, passes=4, batch_size=40, lr=0.003, step=0.3, gamma=0.1)
    before = weights_digest(target.module)
    found = worst_case(target, rows[:40], count, search, job=Job(seed=0), groups=groups)
    assert weights_digest(target.module) == before
    losses, weights = plainly(target, rows[:40], groups, search, count)
    assert found.losses == pytest.approx(losses, rel=1e-3)
    assert found.weights.tolist() == pytest.approx(weights.tolist(), abs=1e-3)
    assert float(weights.max() - weights.min()) > 0.1
    assert set(found.groups) == set(torch.sort(weights, descending=True, stable=True).indices[:count].tolist())


def test_relabelling_inside_the_search_teaches_the_rows_by_their_weight() -> None:
    """Fails if: `random_label` is the same search as `finetune`, or w does not weigh what is taught."""
    target, rows = noisy_digits()
    once = {"rounds": 1, "passes": 3, "lr": 2e-3}
    keep, teach = (
        worst_case(target, rows, 300, Search(lower=lower, **once), job=Job(seed=0))  # type: ignore[arg-type]
        for lower in ("finetune", "random_label")
    )
    assert teach.losses[0] > keep.losses[0] + 10


def test_groups_are_chosen_whole_and_count_by_their_mean() -> None:
    """Fails if: a large class counts by its sum, or rows of a class are chosen apart."""
    target, rows = noisy_digits()
    labels = [int(row["label"]) for row in rows]
    found = worst_case(target, rows, 2, SEARCH, job=Job(seed=0), groups=labels)
    assert len(found.groups) == 2
    assert found.rows == tuple(i for i, label in enumerate(labels) if label in found.groups)
    assert float(found.weights.sum()) == pytest.approx(2)


def test_what_cannot_be_searched_is_refused() -> None:
    """Fails if: every row may be forgotten, or a group is empty."""
    target, rows = noisy_digits()
    for count, groups in ((len(rows), None), (0, None), (1, [0, 2] * (len(rows) // 2))):
        with pytest.raises(InputError):
            worst_case(target, rows, count, SEARCH, job=Job(), groups=groups)
    with pytest.raises(ValueError, match="lower"):
        Search(lower="ascent")


METHODS = {"finetune": Finetune(), "random_label": RandomLabel()}


def wrong_again(target: Model, sets: Splits, recipe: Recipe, first: int) -> float:
    """Percent of forget rows that ten models retrained without them answer wrong, in the mean."""
    models = [target.fresh(first + i) for i in range(10)]
    recipes = [recipe.model_copy(update={"seed": first + i}) for i in range(10)]
    fit_many(models, [sets.retain] * 10, recipes, job=Job())
    return fmean(wrong(model, sets.forget) for model in models)


@cache
def hardness(seed: int) -> dict[tuple[str, str], float]:
    """60 of 600 digits, searched on fine-tuning or drawn (three sets): percent wrong after each method, three seeds each, and again
    retrained.

    `kept` is the most retain rows wrong after fine-tuning; `gap` the distance to retrained of both methods in the mean.
    """
    target, rows = noisy_digits(seed)
    chosen = {
        "worst": [worst_case(target, rows, 60, SEARCH, job=Job(seed=seed)).rows],
        "random": [random_set(rows, 60, 10 * seed + i) for i in range(3)],
    }
    found: dict[tuple[str, str], float] = {}
    for kind, several in chosen.items():
        sets = [split(rows, one) for one in several]
        truth = [wrong_again(target, one, RECIPE, 100 * seed + 1) for one in sets]
        found["retrained", kind], gaps, kept = fmean(truth), {}, []
        for name, method in METHODS.items():
            after = [[unlearn(method, target, one, job=Job(seed=i))[0] for i in range(3)] for one in sets]
            left = [
                fmean(wrong(model, one.forget) for model in models) for models, one in zip(after, sets, strict=True)
            ]
            found[name, kind] = fmean(left)
            gaps[name] = fmean(abs(x - y) for x, y in zip(left, truth, strict=True))
            if name == "finetune":
                kept = [wrong(model, one.retain) for models, one in zip(after, sets, strict=True) for model in models]
        found["gap", kind], found["finetune gap", kind], found["kept", kind] = (
            fmean(gaps.values()),
            gaps["finetune"],
            max(kept),
        )
    return found


def test_claim_the_worst_case_set_stays_known_and_transfers() -> None:
    """Target 0, percent of forget rows answered wrong, searched and random: fine-tuning 0 and 19.6, relabelling 6.7 and 11.9, retrained
    (ten models) 4.2 and 22.7. Five targets below.

    Fails if: the search takes rows that fall first (the upper level climbs), or the set does not transfer.
    """
    found = hardness(0)
    print(found)
    assert max(found["kept", "worst"], found["kept", "random"]) < 8
    assert found["finetune", "worst"] <= 4
    assert found["finetune", "random"] >= 10
    assert found["random_label", "worst"] <= found["random_label", "random"] - 3
    assert found["retrained", "worst"] <= 6
    assert found["retrained", "random"] >= 10


@pytest.mark.slow
def test_claim_over_five_targets_stays_known_and_that_it_transfers_is_not_shown() -> None:
    """Targets and rows of seeds 1 to 5, percent of forget rows answered wrong, searched less random, mean and 95% interval.

    Fine-tuning, on which it was searched: 0 and 23.3, -23.3 [-26.9, -19.7]. Ten retrained models: 2.1 and 26.4, -24.3 [-31.3, -17.2].
    Relabelling: 10.7 and 17.4, -6.7 [-25.8, 12.3]: on four targets 1.7 to 5.6 against 14.8 to 19.8, on the second 37.8 against 17.4, so
    that transfer is not shown. By the gap to the retrained models the searched set is not told apart: both methods 5.3 and 6.3, -.9
    [-11.2, 9.4], fine-tuning 2.1 and 3.6, -1.4 [-7.7, 4.9]. At most 4.3 of the retain rows are wrong after fine-tuning.
    Fails if: the search takes rows that fall first, or the set is shown to transfer: then this name is wrong.
    """
    runs = [hardness(seed) for seed in (1, 2, 3, 4, 5)]

    def less(name: str) -> Bounds:
        found = [[one[name, kind] for one in runs] for kind in ("worst", "random")]
        print(name, found, mean_interval(np.subtract(*found)))
        return mean_interval(np.subtract(*found))

    assert less("finetune").high < -10
    assert less("retrained").high < -10
    for name in ("random_label", "gap", "finetune gap"):
        bounds = less(name)
        assert bounds.low < 0 < bounds.high
    assert max(one["kept", kind] for one in runs for kind in ("worst", "random")) < 8


@pytest.mark.slow
def test_claim_by_the_gap_to_retraining_a_searched_set_is_no_harder() -> None:
    """All 1438 digits learnt by heart, 144 to forget (a row is .7 points), fine-tuning alone, ten retrained models, targets and rows of
    seeds 2 to 6.

    Points from retraining, mean and 95% interval: searched sets 1.5 [.8, 2.2], random ones 6.5 [2.7, 10.3], paired -5.0 [-8.8, -1.2].
    Fails if: random sets flatter a method by this measure, as published.
    """
    torch.set_num_threads(1)
    found = []
    for seed in (2, 3, 4, 5, 6):
        recipe = Recipe(epochs=40, lr=4e-3, batch_size=64, seed=100 * seed)
        drawn = Digits(forget="random=0.1", holdout=0.0, label_noise=0.2, seed=seed).run()
        rows = Rows(tuple(sorted((*drawn["forget"], *drawn["retain"]), key=lambda row: row.id)), "train")
        blank = vision_model("mlp", images=IMAGES, classes=10, seed=seed, width=256, depth=1)
        target = fit(blank, rows, recipe, job=Job(seed=seed))
        assert wrong(target, rows) < 2
        worst = worst_case(target, rows, 144, Search(rounds=10), job=Job(seed=seed)).rows
        gaps = []
        for chosen in (worst, random_set(rows, 144, seed)):
            sets = split(rows, chosen)
            after, _ = unlearn(Finetune(), target, sets, job=Job(seed=0))
            gaps.append(abs(wrong(after, sets.forget) - wrong_again(target, sets, recipe, 100 * seed + 1)))
        found.append(gaps)
    worst_gaps, random_gaps = np.array(found).T
    harder = mean_interval(worst_gaps - random_gaps)
    print(found, mean_interval(worst_gaps), mean_interval(random_gaps), harder)
    assert harder.high < 0
