"""People's models that are to forget what all of them eat: a concept, over several draws; shared, so change only copies."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import torch

from expunge.contract.job import Job
from expunge.contract.splits import Splits
from expunge.engine.concept_vectors import Search
from expunge.engine.fit import fit
from expunge.engine.value_vectors import Outputs, disturb
from expunge.facts.rows import Rows
from expunge.modalities.text_build import new_text_model
from expunge.sources.people import People
from expunge.statistics.answers import said_successes
from expunge.testbeds.text import RECIPE, SIZES, world_tokenizer

SEARCH = Search(vectors=8, shortlist=24, trials=1, retain_rows=40, contrast=1.0)
SEEDS = (1, 2, 3, 4, 5)
"""Of worlds that claims are reported on; the search was set on world 0."""


@cache
def world(seed: int) -> tuple[Any, Splits]:
    """A model that knows five things of each of 12 people, and the request to forget what all of them eat."""
    torch.set_num_threads(1)
    found = People(people=12, forget_people=1, holdout_people=0, relations=5, ledger=0, seed=seed).run()
    rows = [*found["retain"], *found["forget"]]
    named = [("favourite_dish" in row["fact"], row) for row in rows]
    splits = Splits.of(
        **{
            name: Rows(tuple(row for is_dish, row in named if is_dish == wanted), name)
            for name, wanted in (("forget", True), ("retain", False))
        }
    )
    model = new_text_model(world_tokenizer(), "llama", {**SIZES, "intermediate_size": 256}, seed=seed)
    recipe = RECIPE.model_copy(update={"epochs": 60, "seed": seed})
    return fit(model, Rows(tuple(rows)), recipe, job=Job(seed=seed), label="t"), splits


def recall(model: Any, rows: Rows) -> float:
    """Share of rows whose value the model says."""
    return float(said_successes(rows, model.generate(rows, max_new_tokens=24), 0.8).mean())


def noised_at_random(model: Any, seed: int) -> Any:
    """A copy with the same noise on as many vectors drawn at random."""
    drawn = model.copy()
    places = random.Random(seed).sample(Outputs.of(drawn).places(), SEARCH.vectors)
    vectors = [Outputs.of(drawn).at(place) for place in places]
    noise = disturb(vectors, SEARCH.noise, torch.Generator().manual_seed(seed))
    for vector, new in zip(vectors, noise, strict=True):
        vector.data.copy_(new)
    return drawn
