"""Digits with a backdoor or two confused classes, of which only a part is known: what corrective unlearning is tried on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.fit import fit
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Rows
from expunge.modalities.vision import vision_model
from expunge.sources.poisoned import Poisoned
from expunge.testbeds.vision import IMAGES

RECIPE = Recipe(
    epochs=100, lr=0.05, batch_size=64, optimiser="sgd", momentum=0.9, schedule="constant", warmup=0.0, clip=None
)
SHAPES: Mapping[str, Mapping[str, int]] = {"mlp": {"width": 256, "depth": 1}, "cnn": {}}
EPOCHS: Mapping[str, int] = {"mlp": RECIPE.epochs, "cnn": 30}
"""The MLP 64-256-256-10 and the small CNN; both get every training row right."""


@dataclass(frozen=True, kw_only=True)
class PoisonedDigits:
    """A target trained on all rows of a seed, and what to measure: `test`, and `affected` (triggered or confused test rows)."""

    seed: int
    settings: dict[str, Any]
    target: Model
    network: str = "mlp"

    def rows(self, known: float) -> dict[str, Rows]:
        """Return the rows by split name where a share `known` of the manipulated ones is to be forgotten."""
        return Poisoned(seed=self.seed, known=known, **self.settings).run()

    def splits(self, known: float) -> Splits:
        """Return forget, retain and test where a share `known` is to be forgotten."""
        rows = self.rows(known)
        return Splits.of(**{name: rows[name] for name in ("forget", "retain", "test")})

    @property
    def affected(self) -> Rows:
        """Test rows that the manipulation is about, with their true labels."""
        rows = self.rows(1.0)
        return rows["test_triggered"] if "test_triggered" in rows else rows["test_confused"]

    def trained(self, rows: Rows, seed: int) -> Model:
        """Return a model trained from newly drawn weights on `rows`."""
        blank = untrained(seed, self.network)
        return fit(blank, rows, recipe_of(seed, self.network), job=Job(seed=seed), label="poisoned digits")


def recipe_of(seed: int, network: str = "mlp") -> Recipe:
    """Return how a network is trained under a seed."""
    return RECIPE.model_copy(update={"seed": seed, "epochs": EPOCHS[network]})


def untrained(seed: int, network: str = "mlp") -> Model:
    """Return the network with newly drawn weights."""
    return vision_model(network, images=IMAGES, classes=10, seed=seed, **SHAPES[network])


def poisoned_digits(seed: int = 0, *, network: str = "mlp", **settings: Any) -> PoisonedDigits:
    """Return the problem of one seed: it decides which rows are drawn, the weights and the order of training."""
    rows = Poisoned(seed=seed, known=1.0, **settings).run()
    everything = Rows(tuple(sorted((*rows["forget"], *rows["retain"]), key=lambda row: row.id)), "train")
    problem = PoisonedDigits(seed=seed, settings=settings, target=untrained(seed, network), network=network)
    return replace(problem, target=problem.trained(everything, seed))
