"""Noise on the vectors that a concept hangs on."""

from __future__ import annotations

from collections import defaultdict
from statistics import fmean
from typing import Any

import pytest
import torch
from classifiers import over
from concept_worlds import SEARCH, SEEDS, noised_at_random, recall, world

from expunge.contract.apply import unlearn
from expunge.contract.job import Job
from expunge.contract.splits import Splits
from expunge.contract.weights import snapshot
from expunge.engine.concept_vectors import chosen
from expunge.engine.value_vectors import Outputs, disturb
from expunge.methods.needle import Needle
from expunge.modalities.text_build import new_text_model
from expunge.sources.people import People
from expunge.testbeds.text import SIZES, world_tokenizer


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
def test_claim_the_concept_pays_more_than_the_rest_and_more_than_under_random_vectors() -> None:
    """Five worlds of 12 people, the mean of 3 noises each. The concept keeps .61 [.41, .81], the rest .95 [.92, .99]; under the same noise on 8
    random vectors .98 and .99. The concept loses .34 [.15, .54] more than the rest, and .37 [.16, .58] more than under random ones.

    That the noise ends the concept's answers, as the paper has it, does not hold in such a model. What does, and is asked, is that it costs
    the concept more than the rest, and more than noise on random vectors does.
    Fails if the search takes vectors that serve all rows, or none that matter.
    """
    draws = []
    for seed in SEEDS:
        model, splits = world(seed)
        found: dict[str, list[float]] = defaultdict(list)
        for own in range(3):
            needled = unlearn(Needle(search=SEARCH), model, splits, job=Job(seed=own))[0]
            for name, one in (("found", needled), ("random", noised_at_random(model, own))):
                for split in ("forget", "retain"):
                    found[f"{name}, {split}"].append(recall(one, splits.rows[split]))
        draws.append({name: fmean(values) for name, values in found.items()})
        assert recall(model, splits.rows["forget"]) >= 0.95
    for name in draws[0]:
        over(draws, name)
    assert over(draws, "found, retain", less="found, forget").low > 0
    assert over(draws, "random, forget", less="found, forget").low > 0
    assert over(draws, "found, forget").low > 0.1
