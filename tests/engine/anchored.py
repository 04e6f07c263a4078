"""Problems of several seeds whose models are measured for metrics: do nothing, two retrained models and an untrained one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import torch
from digits_seeds import REPORTED
from numbers_problem import planted

from expunge.contract.apply import unlearn
from expunge.contract.evidence import Evidence
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.engine.fit import fit
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Rows
from expunge.methods.finetune import Finetune
from expunge.methods.random_label import RandomLabel
from expunge.modalities.vision import vision_model
from expunge.pipeline.measure import Measurer, Wanted
from expunge.sources.poisoned import Poisoned
from expunge.testbeds.problem import Problem
from expunge.testbeds.vision import CLASS_RECIPE, IMAGES, class_problem

CLASS_SEEDS, NUMBER_SEEDS, BACKDOOR_SEEDS = REPORTED, (1, 2, 3), (0, 1, 2)
"""Bounds of the tests were set on seeds from 100 on."""
RETRAINED = ("retrained-0", "retrained-1")

Found = Mapping[str, Evidence]


def anchored(models: Mapping[str, Model], rows: Mapping[str, Rows]) -> Found:
    """Evidence of each model, linked to the retrained ones but itself; `target` does nothing."""
    wanted = Wanted(frozenset({"scores", "predictions"}), {name: Rows(tuple(one), name) for name, one in rows.items()})
    found = {
        name: Measurer(Job()).evidence(model, wanted, name=name, role=name.partition("-")[0])
        for name, model in models.items()
    }
    retrained = [found[name] for name in RETRAINED]
    return {
        name: replace(one, target=found["target"], retrained=tuple(each for each in retrained if each is not one))
        for name, one in found.items()
    }


def _anchors(problem: Problem, untrained: Model) -> dict[str, Model]:
    return {"target": problem.target, **dict(zip(RETRAINED, problem.retrained, strict=True)), "untrained": untrained}


@cache
def class_of(seed: int) -> Found:
    """The threes of the digits are to go; besides the anchors the target after relabelling and after fine-tuning at their defaults."""
    torch.set_num_threads(1)
    problem = class_problem("mlp", CLASS_RECIPE.model_copy(update={"seed": seed}), retrained=2, width=96, depth=1)
    models = _anchors(problem, problem.untrained.fresh(seed + 50))  # type: ignore[attr-defined]
    for name, method in (("relabelled", RandomLabel()), ("finetuned", Finetune())):
        models[name] = unlearn(method, problem.target, problem.splits, job=Job(seed=seed))[0]
    return anchored(models, problem.splits.rows)


@cache
def numbers_of(seed: int) -> Found:
    """A regression learnt by heart."""
    torch.set_num_threads(1)
    problem = planted(seed)
    return anchored(_anchors(problem, problem.untrained.fresh(seed + 50)), problem.splits.rows)  # type: ignore[attr-defined]


@cache
def backdoor_of(seed: int) -> Found:
    """Backdoored digits; the retrained models saw no manipulated row, `tenth` all but a tenth of them."""
    torch.set_num_threads(1)
    rows, few = (Poisoned(seed=seed, known=known).run() for known in (1.0, 0.1))
    blank = vision_model("mlp", images=IMAGES, classes=10, seed=seed, width=64, depth=1)

    def trained(on: Rows, own: int) -> Model:
        return fit(blank.fresh(own), on, Recipe(epochs=12, lr=6e-3, batch_size=64, seed=own), job=Job(seed=own))

    models = {
        "target": trained(Rows((*rows["forget"], *rows["retain"])), seed),
        "retrained-0": trained(rows["retain"], seed + 1),
        "retrained-1": trained(rows["retain"], seed + 2),
        "tenth": trained(few["retain"], seed + 1),
        "untrained": blank,
    }
    return anchored(models, rows)
