from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from statistics import fmean
from typing import Any

import pytest
import torch
from tiny_problems import Tiny, nll, plain
from torch import Tensor

from expunge.contract.apply import unlearn
from expunge.contract.job import Job
from expunge.contract.mask import Mask
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.descend import Step, one_pass, riding
from expunge.engine.fit import fit
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
from expunge.testbeds.streams import Left, Request, by_method, follow, lacking, requests_of
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
    """Fails if: the bounded loss is turned, the first class comes back, or few rows do not hold the others."""
    problem = classes(0, ("3", "8"), epochs=10)
    first, second = problem.after(GSLoRA(), few=4)
    assert first.forget <= 0.1
    assert second.forget <= 0.1
    assert second.earlier[0] <= 0.1
    assert second.retain >= 0.96


ORDER = ("3", "8", "5", "1")
SEEDS = (0, 1, 2)


def kept(ways: list[list[Left]]) -> float:
    """Mean over seeds of the retain accuracy after the last request."""
    return fmean(way[-1].retain for way in ways)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_claim_four_classes_in_turn_stay_forgotten_and_the_lasso_holds_the_rest() -> None:
    """Measured, seeds 0 to 2, four retain rows a class: 0 of every class, at its request and after; retain 98.2 after the last (99.5, 97.0,
    98.1; the target 100), test 96.3 (target 98.2); without the lasso 94.9; ascent 22.7. Blocks left as they were, of 16 in four requests:
    8, 3, 6, and none without the lasso.


    Fails if: the lasso is off, a class comes back, or the bounded loss is turned.
    """
    ways = {
        name: [classes(seed, ORDER).after(method, few=4, seed=seed) for seed in SEEDS]
        for name, method in {"gs": GSLoRA(), "no lasso": GSLoRA(alpha=0.0), "ascent": Ascent()}.items()
    }
    for way in ways["gs"]:
        assert max(one for left in way for one in (left.forget, *left.earlier)) <= 0.1
        assert way[-1].retain >= 0.92
        assert sum(left.notes["zeroed_blocks"] for left in way) >= 2
    assert sum(left.notes["zeroed_blocks"] for way in ways["no lasso"] for left in way) == 0
    assert kept(ways["gs"]) >= kept(ways["no lasso"]) + 0.01
    assert kept(ways["gs"]) >= kept(ways["ascent"]) + 0.3


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_claim_prototypes_help_where_one_row_a_class_is_left() -> None:
    """Measured, seeds 0 to 2, retain after the last request: with the published bound 93.6 with (98.5, 83.5, 98.7) and
    87.7 without (95.0, 76.8, 91.4), where also 12.5 of a class is left; with a bound a row
    93.8 with (98.7, 86.7, 96.1) and 92.6 without (99.1, 87.7, 91.0): no difference that three seeds show.

    Fails if: the pull on retain rows is off, or prototypes are not those of their class.
    """
    after: dict[tuple[bool, float], float] = {}
    for each_row in (False, True):
        for share in (1.0, 0.0):
            method = GSLoRA(each_row=each_row, push=0.05 * share, pull=share)
            after[each_row, share] = kept([classes(seed, ORDER).after(method, few=1, seed=seed) for seed in SEEDS])
    assert after[False, 1.0] >= after[False, 0.0] + 0.015
    assert after[True, 1.0] >= after[True, 0.0] - 0.03


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_claim_missing_classes_outlast_requests_and_prototypes_do_not_hold_them() -> None:
    """Two of the six digits that stay have no row among those given. Measured, seeds 0 to 4, accuracy on these two after the first request and
    after the fourth: 99.9 and 87.2 with prototypes (99.0, 60.1, 97.3, 83.6, 96.1), 100 and 81.4 without (95.3, 34.7, 97.0, 83.3, 96.8),
    fine-tuning 10.3 and 0, random labels 27.9 and 3.8; on the four given 98.2 with and 97.5 without after the fourth. Thresholds are of seeds
    100 to 104: 98.4 and 66.7 with prototypes, 98.2 and 68.7 without, 97 to 98 on those given; .05 was .1 and held too, by .01. With and
    without differ in either direction, by up to .25 under one seed.

    Fails if: missing classes have rows after all (fine-tuning keeps them), or the bounded loss is turned.
    """
    methods = {
        "gs": GSLoRA(),
        "no prototypes": GSLoRA(push=0.0, pull=0.0),
        "finetune": Finetune(),
        "random": RandomLabel(),
    }
    ways: dict[str, list[list[Left]]] = {name: [] for name in methods}
    for seed in range(5):
        problem = classes(seed, ORDER)
        requests = lacking(problem.requests, 2, seed)
        for name, method in methods.items():
            ways[name].append(follow(problem.target, requests, by_method(method, seed=seed, few=4)))
    missing = {
        name: [[left.missing for left in way if left.missing is not None] for way in several]
        for name, several in ways.items()
    }
    last = {name: fmean(way[-1] for way in several) for name, several in missing.items()}
    for name in ("gs", "no prototypes"):
        assert min(way[0] for way in missing[name]) >= 0.85
        assert last[name] >= max(last["finetune"], last["random"]) + 0.3
        assert kept(ways[name]) >= 0.9
        assert max(one for way in ways[name] for left in way for one in (left.forget, *left.earlier)) <= 0.1
        assert kept(ways[name]) >= last[name] + 0.05
    assert last["gs"] <= last["no prototypes"] + 0.1
