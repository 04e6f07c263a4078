"""The problems of docs/results/digits.md: an MLP 64-256-256-10 or the small CNN that forgets the threes, or a tenth of rows of which a
fifth are mislabelled."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from classifiers import Measured, of_problem

from expunge.contract.apply import locate, unlearn
from expunge.contract.evidence import Evidence
from expunge.contract.job import Job
from expunge.contract.registry import find
from expunge.contract.splits import Splits
from expunge.engine.fit_many import fit_many
from expunge.facts.rows import Rows
from expunge.modalities.vision import vision_model
from expunge.sources.digits import Digits
from expunge.testbeds.poisoned import SHAPES, recipe_of
from expunge.testbeds.problem import Problem
from expunge.testbeds.vision import CLASS, IMAGES

OF_CLASS, OF_ROWS = {"forget": f"class={CLASS}"}, {"forget": "random=0.1", "label_noise": 0.2}
CASES: Mapping[str, Mapping[str, Any]] = {
    "class": OF_CLASS,
    "random": OF_ROWS,
    "class_cnn": OF_CLASS,
    "random_cnn": OF_ROWS,
}
RETRAINED = 10
SEEDS = (0, 1, 2, 3, 4)
"""Problem seeds that claims are reported on; the page's settings were searched on 900 and 901."""


@cache
def digits_gap(case: str, seed: int) -> Measured:
    """The problem whose rows and models were drawn under a seed, with ten retrained models; shared, so change only copies."""
    torch.set_num_threads(1)
    found = Digits(**CASES[case], holdout=0.0, test=0.3, seed=seed).run()
    splits = Splits.of(**{name: found[name] for name in ("forget", "retain", "test")})
    network = case.partition("_")[2] or "mlp"
    blank = vision_model(network, images=IMAGES, classes=10, **SHAPES[network])
    seeds = range(1000 * seed, 1000 * seed + 1 + RETRAINED)
    models = [blank.fresh(one) for one in seeds]
    recipes = [recipe_of(one, network) for one in seeds]
    every = Rows((*found["forget"], *found["retain"]), "training")
    fit_many(models, [every, *[found["retain"]] * RETRAINED], recipes, job=Job())
    target, *retrained = models
    untrained = blank.fresh(1000 * seed + 500)
    return of_problem(
        Problem(
            name=case,
            splits=splits,
            target=target,
            retrained=tuple(retrained),
            untrained=untrained,
            recipe=recipes[0],
        )
    )


def after(at: Measured, label: str, settings: Mapping[str, Any], *, seed: int) -> Evidence:
    """Evidence of the target after a method (`method+locator`) under a seed."""
    name, _, locator = label.partition("+")
    job = Job(seed=seed, recipe=at.problem.recipe)
    if locator:
        job.mask = locate(find("locator", locator).create(), at.problem.target, at.problem.splits)
    method = find("method", name).create(dict(settings))
    return at.of(unlearn(method, at.problem.target, at.problem.splits, job=job)[0])


SETTINGS: Mapping[str, Mapping[str, Mapping[str, float]]] = {
    "class": {
        "finetune": {"lr": 0.0195, "batch_size": 64},
        "l1_sparse": {"lr": 0.0079, "alpha": 0.000448, "batch_size": 64},
        "ascent": {"lr": 0.000929, "batch_size": 64},
        "random_label": {"lr": 0.00486, "retain_weight": 9.09, "batch_size": 64},
        "random_label+saliency": {"lr": 0.00873, "retain_weight": 7.97, "batch_size": 64},
        "scrub": {"lr": 0.00434, "alpha": 0.0108, "max_epochs": 2, "batch_size": 64},
        "bad_teacher": {"lr": 0.00464, "retain_weight": 7.42, "batch_size": 64},
    },
    "random": {
        "finetune": {"lr": 0.0192, "batch_size": 64},
        "l1_sparse": {"lr": 0.00785, "alpha": 0.000925, "batch_size": 64},
        "ascent": {"lr": 0.0006, "batch_size": 64},
        "random_label": {"lr": 0.00484, "retain_weight": 8.31, "batch_size": 64},
        "random_label+saliency": {"lr": 0.00941, "retain_weight": 7.67, "batch_size": 64},
        "scrub": {"lr": 0.00869, "alpha": 0.00286, "max_epochs": 3, "batch_size": 64},
        "bad_teacher": {"lr": 0.00976, "retain_weight": 0.676, "batch_size": 64},
    },
    "class_cnn": {
        "finetune": {"lr": 0.0125, "batch_size": 64},
        "l1_sparse": {"lr": 0.005, "alpha": 0.0005, "batch_size": 64},
        "ascent": {"lr": 0.00174, "batch_size": 64},
        "random_label": {"lr": 0.00273, "retain_weight": 1.67, "batch_size": 64},
        "random_label+saliency": {"lr": 0.00464, "retain_weight": 7.42, "batch_size": 64},
    },
    "random_cnn": {
        "finetune": {"lr": 0.0189, "batch_size": 64},
        "l1_sparse": {"lr": 0.005, "alpha": 0.0005, "batch_size": 64},
        "ascent": {"lr": 0.000637, "batch_size": 64},
        "random_label": {"lr": 0.003, "retain_weight": 5, "batch_size": 64},
        "random_label+saliency": {"lr": 0.003, "retain_weight": 5, "batch_size": 64},
    },
}
"""What the page's search chose for each method, on two other problems."""


@cache
def removed(case: str, seed: int, label: str, own: int) -> Evidence:
    """Evidence of the target after a method with the page's settings, under the method seed `own`."""
    return after(digits_gap(case, seed), label, SETTINGS[case][label], seed=own)
