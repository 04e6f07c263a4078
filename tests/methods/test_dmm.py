from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
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


def test_claim_attribution_predicts_leaving_the_set_out() -> None:
    """Correlation with the change of logits between 10 targets and 20 retrained models, seeds 0 to 2: datamodel .92 to .96 on forget rows
    and .75 to .84 on retain rows, EK-FAC .90 to .92 and .68 to .77, TRAK .77 to .86 and .46 to .72.

    Sizes differ more: of the change on forget rows .30 to .51 is left by the datamodel (models of half the rows learn less by heart: it
    says too little), .96 by TRAK (rows that are known have 1 - p near 0) and 1.6 to 2.9 by EK-FAC, whose step is too long.
    Fails if: an attributor's sign turns, or its rows are others.
    """
    found = attributed(1)
    for name, forget, retain in (("datamodel", 0.85, 0.6), ("ekfac", 0.75, 0.45), ("trak", 0.55, 0.25)):
        assert found[name][0] > forget, found
        assert found[name][1] > retain, found
    assert found["datamodel"][2] < 0.7 < found["trak"][2] < 1.0 < found["ekfac"][2]


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
def test_claim_klom_of_20_and_20_models() -> None:
    """100 steps each, seeds 0 to 2, mean 95th percentile of KLoM on forget and on retain rows (10.8 is no overlap at all):

    do nothing 10.5 and 8.6, retrained again 4.5 and 5.0, matching true retrained logits 4.8 and 6.0, DMM by datamodel 8.6 and 6.6, by
    EK-FAC 9.5 and 9.3, by TRAK 10.5 and 8.5, fine-tuning 8.8 and 8.2, SCRUB 10.2 and 6.2, ascent 9.3 and 9.4. Margins lie this far from the
    retrained ones: nothing 6.3 and .9, matching .3 and .4, datamodel 2.1 and .6, fine-tuning 3.2 and 1.5, ascent 3.7 and 2.7, SCRUB 5.0 and .6.

    So the claim holds in the mean and for distances on each seed. It does not hold everywhere: on forget rows of seeds 0 and 2 ascent and
    fine-tuning have a KLoM lower by .4 to 1.1, and SCRUB one lower by .1 to .5 on retain rows of every seed.
    A better attributor is a better unlearner by distance; by KLoM TRAK and EK-FAC change places on forget rows.
    Fails if: what is predicted is added, or matched on forget rows alone.
    """
    tables = [table_of(seed, 20) for seed in range(3)]
    mean = {name: np.mean([one[name] for one in tables], 0) for name in tables[0]}
    for one in (*tables, mean):
        far = {name: values[0] + values[1] for name, values in one.items()}
        assert max(far["retrained"], far["matched"]) < far["datamodel"]
        assert far["datamodel"] < min(far[name] for name in ("nothing", "ascent", "scrub", "finetune"))
        assert far["datamodel"] < far["trak"] < far["ekfac"]
    both = {name: values[2] + values[3] for name, values in mean.items()}
    assert max(both["retrained"], both["matched"]) < both["datamodel"]
    assert both["datamodel"] < min(both[name] for name in ("nothing", "ascent", "scrub", "finetune", "trak", "ekfac"))
