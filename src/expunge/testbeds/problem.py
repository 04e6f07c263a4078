"""A problem with a known answer: what every unit is tried on before real data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.fit import fit
from expunge.engine.fit_many import fit_many, trains_together
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Rows


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A target that knows the forget rows, models retrained without them, and an untrained anchor, all of one recipe."""

    name: str
    splits: Splits
    target: Model
    retrained: tuple[Model, ...]
    untrained: Model
    recipe: Recipe


def train_problem(name: str, splits: Splits, untrained: Model, recipe: Recipe, *, retrained: int = 3) -> Problem:
    """Train the target on forget and retain under the recipe's seed, and `retrained` models on retain under the next ones.

    Retrained models are trained together where their kind can be: the weights of training them one by one, but for rounding.
    """
    everything = Rows((*splits.rows["forget"], *splits.rows["retain"]), "train")
    seeds = [recipe.seed + 1 + i for i in range(retrained)]
    return Problem(
        name=name,
        splits=splits,
        target=fit(untrained.fresh(recipe.seed), everything, recipe, job=Job(seed=recipe.seed), label=name),
        retrained=_retrained(
            name, untrained, splits.rows["retain"], [recipe.model_copy(update={"seed": seed}) for seed in seeds]
        ),
        untrained=untrained,
        recipe=recipe,
    )


def _retrained(name: str, untrained: Model, retain: Rows, recipes: Sequence[Recipe]) -> tuple[Model, ...]:
    models = [untrained.fresh(recipe.seed) for recipe in recipes]
    if models and trains_together(models[0]) and recipes[0].precision == "float32":
        fit_many(models, [retain] * len(models), recipes, job=Job())
    else:
        for model, recipe in zip(models, recipes, strict=True):
            fit(model, retain, recipe, job=Job(seed=recipe.seed), label=name)
    return tuple(models)
