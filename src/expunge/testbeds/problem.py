"""A problem with a known answer: what every unit is tried on before real data."""

from __future__ import annotations

from dataclasses import dataclass

from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.fit import fit
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
    """Train the target on forget and retain under the recipe's seed, and `retrained` models on retain under the next ones."""

    def trained(rows: Rows, seed: int) -> Model:
        one = recipe.model_copy(update={"seed": seed})
        return fit(untrained.fresh(seed), rows, one, job=Job(seed=seed), label=name)

    everything = Rows((*splits.rows["forget"], *splits.rows["retain"]), "train")
    return Problem(
        name=name,
        splits=splits,
        target=trained(everything, recipe.seed),
        retrained=tuple(trained(splits.rows["retain"], recipe.seed + 1 + i) for i in range(retrained)),
        untrained=untrained,
        recipe=recipe,
    )
