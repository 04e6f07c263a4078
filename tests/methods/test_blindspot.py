"""Blindspot on a regression."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from classifiers import mean_interval
from numbers_problem import Read, after, planted, read
from tiny_problems import Tiny

from expunge.contract.apply import unlearn
from expunge.contract.job import Job
from expunge.contract.mask import Mask
from expunge.contract.registry import build
from expunge.engine.fit import fit
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Row, Rows
from expunge.methods import blindspot
from expunge.methods.ascent import Ascent
from expunge.methods.blindspot import Blindspot
from expunge.methods.finetune import Finetune
from expunge.methods.random_label import RandomLabel
from expunge.modalities.array_tasks import Regression
from expunge.modalities.tabular import Features, tabular_model


def test_a_mask_does_not_hold_the_blind_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if the model that never saw the forget rows may move only what the removal may: the rest of it stays as it was drawn."""
    seen: list[Job] = []
    tiny = numbers()
    entries = {name: name.startswith("head") for name, _ in tiny.target.module.named_parameters()}
    mask = Mask({name: torch.full_like(p, entries[name], dtype=torch.bool) for name, p in tiny.target.module.named_parameters()})  # fmt: skip
    monkeypatch.setattr(
        blindspot, "fit", lambda *given, job, **rest: (seen.append(job), fit(*given, job=job, **rest))[1]
    )
    unlearn(Blindspot(proxy_epochs=1), tiny.target, tiny.splits, job=Job(mask=mask))
    assert seen[0].mask is None


def numbers(seed: int = 0) -> Tiny:
    """Twenty rows of one number each, and a model of one hidden block that was trained on them."""
    from expunge.contract.splits import Splits

    draw = np.random.default_rng(seed)
    x = draw.normal(size=(20, 3)).astype("f")
    rows = [Row(id=str(i), fields={"features": x[i], "label": float(50 + 10 * draw.normal())}) for i in range(20)]
    recipe = Recipe(epochs=2, batch_size=8)
    blank = tabular_model("mlp", features=Features(width=3), task=Regression(mean=50, std=10), width=8, depth=1)
    target = fit(blank, Rows(tuple(rows)), recipe, job=Job())
    return Tiny(Splits.of(forget=Rows(tuple(rows[:6])), retain=Rows(tuple(rows[6:]))), target, recipe)


def test_the_loss_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if: the frozen or an untrained model takes the blind one's place, maps are not scaled, the head is a map too,
    outputs are compared on the scale of the rows, or retain rows follow the blind model."""
    tiny = numbers()
    settings: dict[str, Any] = {
        "proxy_epochs": 3,
        "proxy_lr": 0.02,
        "forget_weight": 2.0,
        "map_weight": 7.0,
        "retain_weight": 3.0,
    }
    seen = tiny.spied(build(Blindspot, settings, where="test"), monkeypatch, seed=4)
    recipe = Recipe(epochs=3, lr=0.02, batch_size=Blindspot().descent.batch_size, seed=Job(seed=4).fresh_seed)
    blind = fit(tiny.target.fresh(Job(seed=4).fresh_seed), tiny.retain, recipe, job=Job(seed=4))

    def run(module: Any, rows: Rows) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = module.blocks[0](module.stem(torch.tensor(np.stack([row["features"] for row in rows]))))
        squares = hidden.square()
        return squares / squares.norm(dim=1, keepdim=True).clamp_min(1e-12), module.head(hidden)[:, 0]

    with torch.no_grad():
        (map_one, out_one), (map_blind, out_blind) = (run(m.module, seen.step.forget) for m in (seen.moved, blind))
        push = 2.0 * (out_one - out_blind).abs() + 7.0 * (map_one - map_blind).square().mean(1)
        labels = torch.tensor([(row["label"] - 50) / 10 for row in seen.step.retain])
        keep = (run(seen.moved.module, seen.step.retain)[1] - labels).square().mean() / 2
    assert seen.loss == pytest.approx(float(push.mean() + 3.0 * keep), rel=1e-4)


def test_the_blind_model_never_sees_a_forget_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if it is trained on all rows, or starts from the target's weights."""
    tiny, seen = numbers(), []
    real = blindspot.fit

    def spy(model: Any, rows: Rows, recipe: Recipe, **given: Any) -> Any:
        seen.append((rows.ids, recipe.epochs, [p.detach().clone() for p in model.module.parameters()]))
        return real(model, rows, recipe, **given)

    monkeypatch.setattr(blindspot, "fit", spy)
    _, facts = unlearn(build(Blindspot, {"epochs": 1}, where="test"), tiny.target, tiny.splits, job=Job(seed=9))
    ((ids, epochs, start),) = seen
    assert ids == tiny.retain.ids
    assert epochs == Blindspot().proxy_epochs
    fresh = list(tiny.target.fresh(Job(seed=9).fresh_seed).module.parameters())
    assert all(torch.equal(one, other) for one, other in zip(start, fresh, strict=True))
    assert "fit_loss" not in facts.notes


SEEDS = tuple(range(1, 11))
"""Seeds of rows and models that claims are reported on; settings were set on seed 900."""


@cache
def reads(seed: int) -> dict[str, list[Read]]:
    """What each method's model says of the planted regression, and what ten retrained ones say."""
    problem = planted(seed)
    models = {
        "nothing": problem.target,
        "blindspot": after(problem, Blindspot, seed=seed),
        "finetune": after(problem, Finetune, seed=seed),
        "longer": after(problem, Finetune, {"epochs": 34}, seed=seed),
        "ascent": after(problem, Ascent, seed=seed),
    }
    return {
        **{name: [read(problem, model)] for name, model in models.items()},
        "retrained": [read(problem, model) for model in problem.retrained],
    }


def of(name: str, what: str, seeds: Sequence[int] = SEEDS) -> np.ndarray:
    """One number a seed; of retrained models their mean."""
    return np.array([np.mean([getattr(one, what) for one in reads(seed)[name]]) for seed in seeds])


def away(name: str, what: str, seeds: Sequence[int] = SEEDS) -> np.ndarray:
    """Distance to the mean of the retrained models."""
    return np.abs(of(name, what, seeds) - of("retrained", what, seeds))


def test_claim_nearer_to_retraining_than_finetuning_and_ascent() -> None:
    """P014 on seed 1 of a planted regression learned by heart; ten seeds below.

    Mean absolute error on forget rows .13 from ten retrained models' (do nothing 2.49, fine-tuning 1.37, fine-tuning for as many steps
    .84), member AUC .01 from theirs (do nothing .37), W1 to their predictions .72 (do nothing .81, ascent 1.06).
    Fails if: the outputs follow an untrained model, or forget rows keep their targets.
    """
    seeds = (1,)
    assert away("nothing", "forget", seeds) > 1.5
    assert away("blindspot", "forget", seeds) < 0.6
    for other in ("nothing", "finetune", "longer"):
        assert away("blindspot", "forget", seeds) < away(other, "forget", seeds), other
    assert away("nothing", "auc", seeds) > 0.25
    assert away("blindspot", "auc", seeds) < 0.1
    for other in ("nothing", "ascent"):
        assert of("blindspot", "distance", seeds) < of(other, "distance", seeds), other
    assert of("blindspot", "retain", seeds) < of("retrained", "retain", seeds) + 0.15
    assert of("blindspot", "test", seeds) < of("retrained", "test", seeds) + 0.5


@pytest.mark.slow
def test_claim_nearer_in_error_and_membership_and_not_in_distribution_than_fine_tuning_on_ten_seeds() -> None:
    """P014 against ten retrained models a seed, mean and paired difference with 95% interval.

    Distance of the error on forget rows: .11 [.06, .16], do nothing 2.64, fine-tuning 1.34, fine-tuning for as many steps 1.01, ascent
    2.05; paired -2.53 [-2.75, -2.32], -1.23 [-1.36, -1.11], -.90 [-1.01, -.79], -1.94 [-2.93, -.95]. Of the member AUC: .02 [.01, .03],
    .41, .16, .10, .08; paired -.39 [-.42, -.36], -.13 [-.15, -.11], -.08 [-.10, -.05], -.06 [-.11, -.003].

    W1 of forget predictions .56 [.49, .64], of retrained models to one another .55; less than do nothing's by .43 [.24, .61] and
    ascent's by 4.2 [3.0, 5.5]. Than fine-tuning's by .08 [-.02, .18] (nearer on 8 of 10 seeds) and that of as many steps by .06 [-.02,
    .14] (6 of 10): the claim asks for an interval above 0, and it is not shown. Nor is retain error unchanged: up from .15 to .27, by
    .12 [.08, .15], below the retrained models' .33 by .05 [.02, .09]; test error 3.04 (do nothing 2.99, retrained 3.11).
    Fails if: the outputs follow an untrained model, forget rows keep their targets, or W1 is shown to be smaller than fine-tuning's:
    then `differs` is wrong.
    """
    for what, most in (("forget", 0.6), ("auc", 0.1)):
        own = mean_interval(away("blindspot", what))
        assert own.high < most
        for other in ("nothing", "finetune", "longer", "ascent"):
            nearer = mean_interval(away("blindspot", what) - away(other, what))
            print(what, other, mean_interval(away(other, what)), nearer)
            assert nearer.high < 0
    nearer_by = {other: of("blindspot", "distance") - of(other, "distance") for other in reads(1)}
    nearer = {other: mean_interval(each) for other, each in nearer_by.items()}
    print(
        mean_interval(of("blindspot", "distance")),
        nearer,
        {other: (each < 0).sum() for other, each in nearer_by.items()},
    )
    for other in ("nothing", "ascent"):
        assert nearer[other].high < 0
    for other in ("finetune", "longer"):
        assert nearer[other].estimate < 0 < nearer[other].high
    risen, above = (
        mean_interval(of("blindspot", "retain") - of(other, "retain")) for other in ("nothing", "retrained")
    )
    worse = mean_interval(of("blindspot", "test") - of("retrained", "test"))
    print(risen, above, worse)
    assert risen.low > 0
    assert above.high < 0.15
    assert worse.high < 0.5


def test_gaussian_targets_miss_the_distribution_that_retraining_has() -> None:
    """The Gaussian amnesiac (random_label, drawn once) forgets, but what it says of forget rows lies further from retraining's.

    Measured on seeds 2 and 3: W1 to ten retrained models .95 and .03 further than blindspot's, retain error .84 and .65 higher.
    Fails if: targets are drawn of another spread (W1 falls), or forget rows keep theirs.
    """
    distances, kept = [], []
    for seed in (2, 3):
        problem = planted(seed)
        one, other = (
            after(problem, unit, given, seed=seed)
            for unit, given in ((RandomLabel, {"redraw": False}), (Blindspot, {}))
        )
        amnesiac, blind, nothing = (read(problem, model) for model in (one, other, problem.target))
        assert amnesiac.forget > nothing.forget + 1.5
        distances.append(amnesiac.distance - blind.distance)
        kept.append(amnesiac.retain - blind.retain)
    print(distances, kept)
    assert np.mean(distances) > 0.2
    assert min(kept) > 0.2
