"""Problems of several seeds whose models are measured for metrics: do nothing, ten retrained models and an untrained one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import torch
from numbers_problem import planted

from expunge.contract.apply import unlearn
from expunge.contract.evidence import Evidence
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import SPLITS, Splits
from expunge.engine.fit_many import fit_many
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Rows
from expunge.methods.finetune import Finetune
from expunge.methods.random_label import RandomLabel
from expunge.modalities.vision import vision_model
from expunge.pipeline.measure import Measurer, Wanted
from expunge.sources.digits import Digits
from expunge.sources.poisoned import Poisoned
from expunge.testbeds.problem import Problem, train_problem
from expunge.testbeds.vision import CLASS, CLASS_RECIPE, IMAGES

CLASS_SEEDS = NUMBER_SEEDS = BACKDOOR_SEEDS = (0, 20, 40, 60, 80)
"""Of rows and models: bounds of the tests were set on seeds from 100 on, and no model is of two draws."""
RETRAINED = tuple(f"retrained-{i}" for i in range(10))

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
    rows = Digits(forget=f"class={CLASS}", seed=seed).run()
    splits = Splits.of(**{name: rows[name] for name in SPLITS})
    blank = vision_model("mlp", images=IMAGES, classes=10, seed=seed, width=96, depth=1)
    recipe = CLASS_RECIPE.model_copy(update={"seed": seed})
    problem = train_problem("digits-class", splits, blank, recipe, retrained=len(RETRAINED))
    models = _anchors(problem, problem.untrained.fresh(seed + 15))  # type: ignore[attr-defined]
    for name, method in (("relabelled", RandomLabel()), ("finetuned", Finetune())):
        models[name] = unlearn(method, problem.target, problem.splits, job=Job(seed=seed))[0]
    return anchored(models, problem.splits.rows)


@cache
def numbers_of(seed: int) -> Found:
    """A regression learnt by heart."""
    torch.set_num_threads(1)
    problem = planted(seed)
    return anchored(_anchors(problem, problem.untrained.fresh(seed + 15)), problem.splits.rows)  # type: ignore[attr-defined]


@cache
def backdoor_of(seed: int) -> Found:
    """Backdoored digits; the retrained models saw no manipulated row, `tenth` all but a tenth of them."""
    torch.set_num_threads(1)
    rows, few = (Poisoned(seed=seed, known=known).run() for known in (1.0, 0.1))
    blank = vision_model("mlp", images=IMAGES, classes=10, seed=seed, width=64, depth=1)
    training = {
        "target": Rows((*rows["forget"], *rows["retain"])),
        "tenth": few["retain"],
        **dict.fromkeys(RETRAINED, rows["retain"]),
    }
    seeds = [seed + i for i in range(len(training))]
    models = {name: blank.fresh(own) for name, own in zip(training, seeds, strict=True)}
    recipes = [Recipe(epochs=12, lr=6e-3, batch_size=64, seed=own) for own in seeds]
    fit_many(list(models.values()), list(training.values()), recipes, job=Job())
    return anchored({**models, "untrained": blank.fresh(seed + 15)}, rows)
