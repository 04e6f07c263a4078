from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean
from typing import Any

import numpy as np
import pytest
import torch
from classifiers import mean_interval
from tiny_problems import Tiny, nll, plain
from torch import Tensor

from expunge.contract.apply import unlearn
from expunge.contract.job import Job
from expunge.contract.mask import Mask
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.descend import Step, one_pass, riding
from expunge.engine.fit import fit
from expunge.engine.fit_many import fit_many
from expunge.facts.errors import InputError
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Rows
from expunge.methods import gs_lora
from expunge.methods.ascent import Ascent
from expunge.methods.finetune import Finetune
from expunge.methods.gs_lora import GSLoRA
from expunge.methods.random_label import RandomLabel
from expunge.modalities.vision import vision_model
from expunge.sources.digits import Digits
from expunge.testbeds.streams import (
    Left,
    Request,
    by_method,
    follow,
    lacking,
    mean_so_far,
    measure,
    requests_of,
    worst_so_far,
)
from expunge.testbeds.vision import IMAGES


@pytest.mark.parametrize("each_row", [True, False])
@pytest.mark.parametrize(("margin", "epoch"), [(3.0, 0), (3.0, 6), (-1.7, 6)])
def test_the_loss_by_hand(
    clouds: Tiny, monkeypatch: pytest.MonkeyPatch, margin: float, epoch: int, each_row: bool
) -> None:
    """Fails if: prototypes are the moved model's or of retain rows alone, the divergence is turned, a bound is passed, or the lasso
    is on before alpha_epoch, leaves out a factor, or is squared, or bounds are those of rows for means or means for rows."""
    method = GSLoRA(margin=margin, each_row=each_row, beta=0.3, alpha=0.2, push=0.7, pull=0.4)
    every = [*clouds.forget, *clouds.retain]
    before: dict[int, list[Tensor]] = {}
    for row, (logits, _) in zip(every, plain(clouds.target, every), strict=True):
        before.setdefault(row["label"], []).append(logits[0])
    means = {label: torch.stack(several).mean(0).log_softmax(-1) for label, several in before.items()}
    bound, seen = math.log(6) + margin, []

    def short(values: list[float]) -> float:
        return fmean(max(0.0, bound - value) for value in values) if each_row else max(0.0, bound - fmean(values))

    def away(model: Model, rows: Rows) -> list[float]:
        logs = [logits[0].log_softmax(-1) for logits, _ in plain(model, rows)]
        pairs = [(means[row["label"]], log) for row, log in zip(rows, logs, strict=True)]
        return [float((mean.exp() * (mean - log)).sum()) for mean, log in pairs]

    @torch.no_grad()
    def spy(
        model: Model, job: Job, descent: Any, loss: Callable[[Step], Tensor], *, forget: Rows, retain: Rows
    ) -> None:
        for parameter in model.module.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=job.generator))
        step = next(one_pass(model, job, 8, epoch, forget=forget, retain=retain, following=riding(retain, 0)))
        gone, kept = ([float(nll(one)) for one in plain(model, rows)] for rows in (step.forget, step.retain))
        factors = [p for name, p in model.module.named_parameters() if name.endswith((".down", ".up"))]
        assert len(factors) == 2
        lasso = math.sqrt(sum(float(p.square().sum()) for p in factors)) if epoch else 0.0
        wanted = fmean(kept) + 0.3 * short(gone) + 0.2 * lasso
        wanted += 0.7 * short(away(model, step.forget)) + 0.4 * fmean(away(model, step.retain))
        seen.append((float(loss(step)), wanted))

    monkeypatch.setattr(gs_lora, "descend", spy)
    clouds.run(method)
    assert seen[0][0] == pytest.approx(seen[0][1], rel=1e-4)


def test_forgets_and_keeps(clouds: Tiny) -> None:
    """Fails if: the bounded loss is turned, or retain rows weigh nothing."""
    clouds.removes(GSLoRA, {"few_shot": 4}, forget=0.1, retain=0.9)


def test_only_blocks_move_and_a_dropped_one_does_not(clouds: Tiny) -> None:
    """Fails if: the stem, the head or a bias moves, or a dropped block is counted and merged all the same."""
    before = {name: p.detach().clone() for name, p in clouds.target.module.named_parameters()}
    for alpha, moved in ((0.01, {"blocks.0.linear.weight"}), (1000.0, set())):
        job = Job(seed=0)
        model, _ = unlearn(GSLoRA(alpha=alpha, alpha_epoch=0), clouds.target, clouds.splits, job=job)
        assert {n for n, p in model.module.named_parameters() if not torch.equal(p, before[n])} == moved
        assert job.notes["zeroed_blocks"] == 1 - len(moved)


def test_what_it_cannot_serve_is_refused(clouds: Tiny) -> None:
    """Fails if: a mask is taken and not kept, or a network without linear maps in its blocks is left as it was without a word."""
    entries = {name: torch.ones_like(p, dtype=torch.bool) for name, p in clouds.target.module.named_parameters()}
    with pytest.raises(InputError, match="low-rank change"):
        unlearn(GSLoRA(), clouds.target, clouds.splits, job=Job(mask=Mask(entries)))
    found = Digits(forget="sample=4", holdout=0).run()
    cnn = vision_model("cnn", images=IMAGES, classes=10, seed=0, width=4)
    with pytest.raises(InputError, match="no block"):
        unlearn(GSLoRA(), cnn, Splits.of(forget=found["forget"], retain=found["retain"]))


@dataclass(frozen=True)
class Classes:
    """Digits that a small vision transformer of four blocks knows, and requests for one class after another."""

    target: Model
    requests: list[Request]
    recipe: Recipe

    def after(self, method: Any, *, few: int, seed: int = 0) -> list[Left]:
        return follow(self.target, self.requests, by_method(method, seed=seed, few=few))


@cache
def classes(seed: int, names: tuple[str, ...], epochs: int = 15) -> Classes:
    torch.set_num_threads(1)
    found = Digits(forget="class=3", holdout=0).run()
    train, test = (Rows((*found[a], *found[b])) for a, b in (("forget", "retain"), ("test", "test_forget")))
    recipe = Recipe(epochs=epochs, lr=4e-3, batch_size=64, seed=seed)
    blank = vision_model("vit", images=IMAGES, classes=10, seed=seed, patch=4, width=32, depth=4)
    target = fit(blank, train, recipe, job=Job(seed=seed))
    return Classes(target, requests_of(train, test, names, lambda row: str(row["label"])), recipe)


def test_claim_two_classes_in_turn_from_four_rows_a_class() -> None:
    """One seed; five below with four classes. Fails if: the bounded loss is turned, the first class comes back, or few rows do not hold
    the others.
    """
    problem = classes(0, ("3", "8"), epochs=10)
    first, second = problem.after(GSLoRA(), few=4)
    assert first.forget <= 0.1
    assert second.forget <= 0.1
    assert second.earlier[0] <= 0.1
    assert second.retain >= 0.96


ORDER = ("3", "8", "5", "1")
SEEDS = (0, 1, 2, 3, 4)
"""Seeds of target and few rows that claims are reported on; thresholds were set on 100 to 104."""


def kept(ways: list[list[Left]]) -> np.ndarray:
    """Retain accuracy after the last request by seed, in percent."""
    return 100 * np.array([way[-1].retain for way in ways])


@cache
def again(seed: int) -> tuple[Left, ...]:
    """Ten models trained on what is to be kept after the last request, measured as it is."""
    problem = classes(seed, ORDER)
    seeds = [1000 * (seed + 1) + i for i in range(10)]
    models, last = [problem.target.fresh(one) for one in seeds], problem.requests[-1]
    recipes = [problem.recipe.model_copy(update={"seed": one}) for one in seeds]
    fit_many(models, [last.retain] * 10, recipes, job=Job())
    return tuple(measure(model, last) for model in models)


def gap(left: Left, others: Sequence[Left]) -> float:
    """Distance to the mean of retrained models over the accuracies on all requests' rows, retain and test rows, in points."""
    reads = (mean_so_far, lambda one: one.retain, lambda one: one.test)
    return 100 * fmean(abs(read(left) - fmean(read(one) for one in others)) for read in reads)


def gaps_of(ways: list[list[Left]]) -> np.ndarray:
    """Gap after the last request by seed."""
    return np.array([gap(way[-1], again(seed)) for seed, way in zip(SEEDS, ways, strict=True)])


def blocks_left(way: list[Left]) -> int:
    """Blocks that the lasso left as they were, over all requests."""
    return sum(left.notes.get("zeroed_blocks", 0) for left in way)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_claim_four_classes_in_turn_stay_forgotten_and_the_lasso_holds_the_rest() -> None:
    """Four retain rows a class, five seeds, mean and 95% interval. 0 of every class, at its request and after, on each seed.

    Gap to ten retrained models after the last request, in points: 1.4 [.3, 2.6], without the lasso 2.6 [2.4, 2.9], ascent 52.4 [46.1,
    58.7]; one retrained model .15 [.05, .25]. Paired: to no lasso -1.2 [-2.4, -.05], to ascent -51 [-57, -45], above retrained 1.3 [.1,
    2.5]. Retain 98.2 [96.5, 100] of the target's 100, above no lasso by 2.7 [1.5, 3.8] and ascent by 78 [69, 87]. Blocks left as they
    were, of 16 in four requests: 7, 3, 6, 5, 6, and none without the lasso.

    Fails if: the lasso is off, a class comes back, or the bounded loss is turned.
    """
    methods = {"gs": GSLoRA(), "no lasso": GSLoRA(alpha=0.0), "ascent": Ascent()}
    ways = {
        name: [classes(seed, ORDER).after(method, few=4, seed=seed) for seed in SEEDS]
        for name, method in methods.items()
    }
    gaps = {name: gaps_of(several) for name, several in ways.items()}
    floor = np.array([gap(again(seed)[0], again(seed)[1:]) for seed in SEEDS])
    retain, zeroed = kept(ways["gs"]), {name: [blocks_left(way) for way in several] for name, several in ways.items()}
    print(gaps, floor, mean_interval(gaps["gs"]), mean_interval(gaps["gs"] - floor), zeroed, mean_interval(retain))
    for way in ways["gs"]:
        assert max(worst_so_far(left) for left in way) <= 0.1
    assert mean_interval(retain).low >= 92
    for name, more in (("no lasso", 1), ("ascent", 30)):
        nearer, above = mean_interval(gaps["gs"] - gaps[name]), mean_interval(retain - kept(ways[name]))
        print(name, mean_interval(gaps[name]), nearer, above)
        assert nearer.high < 0
        assert above.low >= more
    assert min(zeroed["gs"]) >= 2
    assert not any(zeroed["no lasso"])


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_claim_that_prototypes_help_where_one_row_a_class_is_left_is_not_shown() -> None:
    """Retain after the last request by seed, with and without prototypes, and paired difference with 95% interval over five seeds.

    With the published bound 93.6 (98.4, 81.7, 98.7, 96.3, 92.8) and 90.4 (95.0, 76.3, 91.4, 96.7, 92.7): +3.2 [-.9, 7.3]; gap to ten
    retrained models -2.6 [-5.5, .3] points. At most 6 with and 12.5 without is left of a class. With a bound a row, which leaves 0,
    94.0 and 92.5: +1.5 [-3.3, 6.4], gap -1.1 [-4.6, 2.3]. On three of the seeds (0 to 2) it looked as if they did: 3, 5 and 7 under the
    published bound.

    Fails if: the pull on retain rows is off, prototypes are not those of their class, or they are shown to help: then this name is
    wrong.
    """
    for each_row, worst in ((False, 0.15), (True, 0.1)):
        ways = {
            share: [
                classes(seed, ORDER).after(GSLoRA(each_row=each_row, push=0.05 * share, pull=share), few=1, seed=seed)
                for seed in SEEDS
            ]
            for share in (1.0, 0.0)
        }
        more = mean_interval(kept(ways[1.0]) - kept(ways[0.0]))
        nearer = mean_interval(gaps_of(ways[1.0]) - gaps_of(ways[0.0]))
        print(each_row, [kept(several) for several in ways.values()], more, nearer)
        assert more.low < 0 < more.estimate
        assert nearer.estimate < 0 < nearer.high
        assert max(worst_so_far(way[-1]) for several in ways.values() for way in several) <= worst


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_claim_missing_classes_outlast_requests_and_prototypes_do_not_hold_them() -> None:
    """Two of the six digits that stay have no row among those given. Accuracy on these two after the first request and after the
    fourth, five seeds:

    99.9 and 87.2 with prototypes (99.0, 60.1, 97.3, 83.6, 96.1), 100 and 81.4 without (95.3, 34.7, 97.0, 83.3, 96.8), fine-tuning 10.3
    and 0, random labels 27.9 and 3.8. Paired with 95% interval after the fourth: with prototypes above fine-tuning by 87 [67, 107] and
    random labels by 83 [64, 102], without by 81 [48, 115] and 78 [46, 109]; with above without by 6 [-8, 20]: not told apart. On the
    four given 98.2 [96.7, 99.7] with and 97.5 [95.6, 99.4] without: that missing ones lie below, by 11 [-9, 31] and 16 [-16, 48], holds
    in the mean alone. Thresholds are of seeds 100 to 104: 98.4 and 66.7 with prototypes, 98.2 and 68.7 without, 97 to 98 on those
    given.

    Fails if: missing classes have rows after all (fine-tuning keeps them), or the bounded loss is turned.
    """
    methods = {
        "gs": GSLoRA(),
        "no prototypes": GSLoRA(push=0.0, pull=0.0),
        "finetune": Finetune(),
        "random": RandomLabel(),
    }
    ways: dict[str, list[list[Left]]] = {name: [] for name in methods}
    for seed in SEEDS:
        problem = classes(seed, ORDER)
        requests = lacking(problem.requests, 2, seed)
        for name, method in methods.items():
            ways[name].append(follow(problem.target, requests, by_method(method, seed=seed, few=4)))
    missing = {
        name: 100 * np.array([[left.missing for left in way if left.missing is not None] for way in several])
        for name, several in ways.items()
    }
    last = {name: several[:, -1] for name, several in missing.items()}
    for name in ("gs", "no prototypes"):
        given, worn = mean_interval(kept(ways[name])), mean_interval(kept(ways[name]) - last[name])
        outlast = [mean_interval(last[name] - last[other]) for other in ("finetune", "random")]
        print(name, missing[name], mean_interval(last[name]), given, worn, outlast)
        assert min(missing[name][:, 0]) >= 85
        assert min(one.low for one in outlast) >= 30
        assert given.low >= 90
        assert max(worst_so_far(left) for way in ways[name] for left in way) <= 0.1
        assert worn.low < 0 < worn.estimate
    held = mean_interval(last["gs"] - last["no prototypes"])
    print(missing["finetune"], missing["random"], held)
    assert held.low < 0 < held.high
