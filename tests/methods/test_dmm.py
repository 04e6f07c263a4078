from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from classifiers import mean_interval
from numpy.typing import NDArray
from tiny_problems import Tiny

from expunge.contract.apply import unlearn
from expunge.contract.job import Job, Remembering
from expunge.contract.model import Model
from expunge.contract.registry import build
from expunge.contract.splits import Splits
from expunge.engine.datamodels import (
    along,
    centred,
    fit_datamodel,
    influence_step,
    margins,
    match_logits,
    subset_logits,
)
from expunge.engine.descend import Descent
from expunge.engine.fit_many import fit_many
from expunge.facts.errors import InputError
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Row, Rows
from expunge.methods import dmm
from expunge.methods.ascent import Ascent
from expunge.methods.dmm import DMM
from expunge.methods.finetune import Finetune
from expunge.methods.scrub import SCRUB
from expunge.modalities.array_tasks import Classification
from expunge.modalities.tabular import Features, tabular_model
from expunge.statistics.klom import klom

Numbers = NDArray[np.float64]
FORGET = 16
SEEDS = (0, 1, 2, 3, 4)
"""Seeds of the table and of all models that claims are reported on; rates were chosen on seed 900."""
RECIPE = Recipe(epochs=30, lr=1e-2, batch_size=32)


def aims(
    tiny: Tiny, method: DMM, monkeypatch: pytest.MonkeyPatch, seed: int = 0
) -> tuple[dict[str, torch.Tensor], Any]:
    """What rows' logits are to be, by id, and the record."""
    seen: list[dict[str, torch.Tensor]] = []
    with monkeypatch.context() as patch:
        patch.setattr(dmm, "match_logits", lambda model, wanted, *rows, **_: seen.append(wanted))
        _, facts = tiny.run(method, seed=seed)
    return seen[0], facts


def test_the_aim_is_what_it_says_less_what_the_forget_rows_give(clouds: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """f(x) - sum over forget of beta_i(x), with beta from the same subsets; EK-FAC's by its step. The record counts what was trained.

    Fails if: the sum runs over retain rows, is added, or rows are mixed up.
    """
    aim, facts = aims(clouds, DMM(models=20), monkeypatch)
    rows = Rows((*clouds.forget, *clouds.retain))
    masks, outputs = subset_logits(clouds.target, rows, models=20, share=0.5, recipe=clouds.recipe, job=Job(seed=0))
    found = fit_datamodel(masks, outputs, own=range(len(rows)))
    beta = np.stack([-found.without([i]) for i in range(len(clouds.forget))], -1)
    with torch.no_grad():
        logits = centred(clouds.target.logits(clouds.target.pack(rows)))
    wanted = logits.double() - torch.tensor(beta.sum(-1))
    torch.testing.assert_close(torch.stack([aim[i] for i in rows.ids]).double(), wanted, rtol=1e-3, atol=1e-3)
    assert facts.notes["models_trained"] == 20
    assert facts.notes["rows_trained_on"] == int(masks.sum()) * clouds.recipe.epochs
    aim, _ = aims(clouds, DMM(attributor="ekfac"), monkeypatch)
    step = influence_step(clouds.target, clouds.forget, clouds.retain, job=Job(seed=0))
    torch.testing.assert_close(
        torch.stack([aim[i] for i in rows.ids]), logits + along(clouds.target, rows, step), rtol=1e-3, atol=1e-3
    )


def test_bad_settings_are_refused(clouds: Tiny) -> None:
    """Fails if: an attributor that is not known, all rows in every subset, or a target without a recipe pass."""
    for settings in ({"attributor": "lasso"}, {"share": 1.0}):
        with pytest.raises(InputError):
            build(DMM, settings, where="test")
    with pytest.raises(InputError, match="recipe"):
        unlearn(DMM(), clouds.target, clouds.splits, job=Job())


def table(seed: int) -> Splits:
    """160 points of four overlapping classes in ten dimensions; 16 bear a wrong label and are to go."""
    draw = np.random.default_rng(seed)
    labels, points = draw.integers(0, 4, 160), draw.normal(size=(160, 10))
    points[:, 0] += 2 * (labels % 2)
    points[:, 1] += 2 * (labels // 2)
    labels[:FORGET] = (labels[:FORGET] + 1) % 4
    rows = [
        Row(id=f"p{i}", fields={"features": x.astype(np.float32), "label": int(y)})
        for i, (x, y) in enumerate(zip(points, labels, strict=True))
    ]
    return Splits.of(forget=Rows(tuple(rows[:FORGET])), retain=Rows(tuple(rows[FORGET:])))


@cache
def models_of(seed: int, count: int) -> tuple[Splits, list[Model], list[Model], list[Model]]:
    """The table, targets, retrained models, and as many other retrained ones."""
    torch.set_num_threads(1)
    splits = table(seed)
    forget, retain = splits.rows["forget"], splits.rows["retain"]
    blank = tabular_model("mlp", features=Features(width=10), task=Classification(classes=4), width=32, seed=0)

    def trained(rows: Rows, first: int) -> list[Model]:
        models: list[Model] = [blank.fresh(first + i) for i in range(count)]
        recipes = [RECIPE.model_copy(update={"seed": first + i}) for i in range(count)]
        fit_many(models, [rows] * count, recipes, job=Job())
        return models

    return splits, trained(Rows((*forget, *retain)), 0), trained(retain, 1000), trained(retain, 2000)


def every(splits: Splits) -> Rows:
    return Rows((*splits.rows["forget"], *splits.rows["retain"]))


@torch.no_grad()
def mean_logits(models: list[Model], rows: Rows) -> Numbers:
    batch = models[0].pack(rows)
    return np.asarray(torch.stack([centred(model.logits(batch)) for model in models]).mean(0).double().numpy())


@torch.no_grad()
def margins_of(models: list[Model], rows: Rows) -> Numbers:
    batch = models[0].pack(rows)
    return np.asarray(torch.stack([margins(model, batch) for model in models]).double().numpy())


def attributed(seed: int) -> dict[str, tuple[float, float, float]]:
    """By attributor: correlation of predicted with true change of logits on forget and on retain rows; distance left, as a share of it."""
    splits, targets, retrained, others = models_of(seed, 10)
    rows = every(splits)
    true = mean_logits([*retrained, *others], rows) - mean_logits(targets, rows)
    found, cache = {}, Remembering()
    for name in dmm.ATTRIBUTORS:
        changes = []
        for target in targets[:3]:
            job = Job(seed=0, recipe=RECIPE, cache=cache)
            change = DMM(attributor=name).change(target, splits.rows["forget"], splits.rows["retain"], job)
            changes.append(change.double().numpy())
        change = np.mean(changes, 0)
        parts = [
            float(np.corrcoef(change[part].ravel(), true[part].ravel())[0, 1])
            for part in (slice(0, FORGET), slice(FORGET, None))
        ]
        left = float(np.linalg.norm(change[:FORGET] - true[:FORGET]) / np.linalg.norm(true[:FORGET]))
        found[name] = (parts[0], parts[1], left)
    return found


LEAST = {"datamodel": (0.85, 0.6), "ekfac": (0.75, 0.45), "trak": (0.55, 0.25)}
"""Correlation on forget and on retain rows that is asked of each attributor."""


def test_claim_attribution_predicts_leaving_the_set_out() -> None:
    """Seed 1: correlation of the datamodel .96 on forget rows and .79 on retain rows, EK-FAC .92 and .68, TRAK .82 and .72; five seeds
    below.

    Fails if: an attributor's sign turns, or its rows are others.
    """
    found = attributed(1)
    for name, (forget, retain) in LEAST.items():
        assert found[name][0] > forget, found
        assert found[name][1] > retain, found
    assert found["datamodel"][2] < 0.7 < found["trak"][2] < 1.0 < found["ekfac"][2]


@pytest.mark.slow
def test_claim_attribution_predicts_leaving_the_set_out_on_five_seeds() -> None:
    """Correlation with the change of mean logits between 10 targets and 20 retrained models, mean and 95% interval over five seeds.

    Datamodel .944 [.928, .961] on forget rows and .86 [.79, .92] on retain rows, EK-FAC .900 [.883, .918] and .72 [.67, .76], TRAK .81
    [.77, .85] and .58 [.45, .72]. On forget rows the datamodel is above EK-FAC by .044 [.027, .061], and EK-FAC above TRAK by .090
    [.050, .129].

    Sizes differ more: of the change on forget rows .39 [.30, .48] is left by the datamodel (models of half the rows learn less by
    heart: it says too little), .97 [.96, .98] by TRAK (rows that are known have 1 - p near 0) and 2.1 [1.5, 2.7] by EK-FAC, whose step
    is too long. Fails as above.
    """
    every = [attributed(seed) for seed in SEEDS]
    found = {name: np.array([one[name] for one in every]).T for name in dmm.ATTRIBUTORS}
    own = {name: [mean_interval(each) for each in parts] for name, parts in found.items()}
    better = [mean_interval(found[a][0] - found[b][0]) for a, b in (("datamodel", "ekfac"), ("ekfac", "trak"))]
    print(own, better)
    for name, least in LEAST.items():
        assert own[name][0].low > least[0]
        assert own[name][1].low > least[1]
    assert min(one.low for one in better) > 0
    assert own["datamodel"][2].high < 0.7 < own["trak"][2].low
    assert own["trak"][2].high < 1.0 < own["ekfac"][2].low


def unlearned(method: Any, seed: int, count: int) -> list[Model]:
    splits, targets, _, _ = models_of(seed, count)
    cache = Remembering()
    return [unlearn(method, target, splits, job=Job(seed=0, recipe=RECIPE, cache=cache))[0] for target in targets]


def matched(seed: int, count: int, descent: Descent) -> list[Model]:
    """Each target after matching the logits of a retrained model of its own."""
    splits, targets, _, others = models_of(seed, count)
    rows, found = every(splits), []
    for target, other in zip(targets, others, strict=True):
        with torch.no_grad():
            wanted = dict(zip(rows.ids, other.logits(other.pack(rows)), strict=True))
        model = target.copy()
        match_logits(model, wanted, splits.rows["forget"], splits.rows["retain"], descent=descent, job=Job(seed=0))
        found.append(model)
    return found


def rivals(seed: int, count: int) -> dict[str, list[Model]]:
    """Models after 100 steps of each (99 of fine-tuning, 100 of SCRUB); learning rates are the best of two or three on seed 900."""
    steps = DMM().descent
    return {
        "nothing": models_of(seed, count)[1],
        "retrained": models_of(seed, count)[3],
        "matched": matched(seed, count, steps),
        **{name: unlearned(DMM(attributor=name), seed, count) for name in dmm.ATTRIBUTORS},
        "ascent": unlearned(Ascent(descent=Descent(lr=ASCENT, epochs=100)), seed, count),
        "scrub": unlearned(SCRUB(descent=Descent(lr=SCRUBBING, epochs=10, batch_size=16)), seed, count),
        "finetune": unlearned(Finetune(descent=Descent(lr=FINETUNE, epochs=11, batch_size=16)), seed, count),
    }


ASCENT, SCRUBBING, FINETUNE = 1e-3, 3e-3, 1e-2


def table_of(seed: int, count: int) -> dict[str, list[float]]:
    """By method: mean distance of a row's mean margin to the retrained one, on forget and on retain rows, and KLoM (95th percentile)."""
    splits, _, retrained, _ = models_of(seed, count)
    rows = every(splits)
    truth = margins_of(retrained, rows)
    found = {}
    for name, models in rivals(seed, count).items():
        own = margins_of(models, rows)
        far = np.abs(own.mean(0) - truth.mean(0))
        scores = [klom(own[:, part], truth[:, part]).value for part in (slice(0, FORGET), slice(FORGET, None))]
        found[name] = [float(far[:FORGET].mean()), float(far[FORGET:].mean()), *map(float, scores)]  # type: ignore[arg-type]
    return found


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_claim_nearer_in_margins_than_rivals_and_by_klom_not_than_scrub_and_fine_tuning() -> None:
    """20 and 20 models, 100 steps each, five seeds: mean and paired difference with 95% interval.

    Distance of a row's mean margin to the retrained one, on forget and on retain rows: do nothing 6.2 and .9, retrained again .3 and
    .2, matching true retrained logits .35 and .45, DMM by datamodel 1.8 and .56, by TRAK 6.0 and .9, by EK-FAC 10.3 and 3.0,
    fine-tuning 3.2 and 1.5, ascent 3.7 and 3.2, SCRUB 5.0 and .56. The datamodel's sum of both less another's: matching +1.6 [.4, 2.7],
    fine-tuning -2.4 [-3.0, -1.8], SCRUB -3.2 [-3.7, -2.8], ascent -4.5 [-7.4, -1.6], TRAK -4.6 [-5.6, -3.5], nothing -4.8 [-5.8, -3.8],
    EK-FAC -11.0 [-11.8, -10.2]: there the claim holds.

    95th percentile of KLoM likewise (10.8 is no overlap at all): nothing 10.5 and 8.5, retrained 4.4 and 4.9, matching 4.6 and 6.0,
    datamodel 8.2 and 6.4, TRAK 10.5 and 8.4, EK-FAC 9.4 and 9.3, fine-tuning 9.0 and 8.2, ascent 9.1 and 9.3, SCRUB 10.2 and 6.3. Sum
    of both: matching +4.1 [1.4, 6.7], nothing -4.4 [-5.8, -3.0], TRAK -4.2 [-5.6, -2.8], EK-FAC -4.0 [-7.1, -1.0], ascent -3.7 [-7.3,
    -.1]; but fine-tuning -2.5 [-5.4, .4] and SCRUB -1.8 [-4.0, .4]: not shown. On forget rows alone no rival is told apart (ascent -.9
    [-3.8, 2.1]): seed 1 wins by 3 to 5, and on three of the other four ascent and fine-tuning are lower by .2 to 1.1. On retain rows it
    is lower than fine-tuning by 1.8 [1.1, 2.6] and ascent by 2.9 [2.1, 3.6], and not than SCRUB (+.2 [-.6, .9]).

    A better attributor is a better unlearner by distance; by KLoM TRAK is further than EK-FAC on forget rows, by 1.1 [.7, 1.5].
    Fails if: what is predicted is added, or matched on forget rows alone.
    """
    tables = [table_of(seed, 20) for seed in SEEDS]
    found = {name: np.array([one[name] for one in tables]).T for name in tables[0]}
    less = {name: found["datamodel"] - each for name, each in found.items() if name != "datamodel"}
    distance = {name: mean_interval(each[0] + each[1]) for name, each in less.items()}
    both = {name: mean_interval(each[2] + each[3]) for name, each in less.items()}
    forget, retain = ({name: mean_interval(each[i]) for name, each in less.items()} for i in (2, 3))
    print({name: each.mean(1) for name, each in found.items()}, distance, both, forget, retain)
    for name in ("retrained", "matched"):
        assert distance[name].low > 0
        assert both[name].low > 0
    for name in ("nothing", "ascent", "scrub", "finetune", "trak", "ekfac"):
        assert distance[name].high < 0
    trak, ekfac = found["trak"], found["ekfac"]
    assert mean_interval((trak - ekfac)[:2].sum(0)).high < 0
    for name in ("nothing", "ascent", "trak", "ekfac"):
        assert both[name].high < 0
    for name in ("scrub", "finetune"):
        assert both[name].estimate < 0 < both[name].high
    assert min(forget[name].high for name in ("ascent", "scrub", "finetune")) > 0
    assert max(retain["ascent"].high, retain["finetune"].high) < 0 < retain["scrub"].high
    assert mean_interval(trak[2] - ekfac[2]).low > 0
