"""The locator of a concept's value vectors."""

from __future__ import annotations

import pytest
import torch
from classifiers import over
from concept_worlds import SEARCH, SEEDS, recall, world
from locator_models import text

from expunge.contract.apply import locate, unlearn
from expunge.contract.job import Job
from expunge.contract.weights import snapshot
from expunge.engine.concept_vectors import Search, chosen, find
from expunge.engine.descend import Descent
from expunge.engine.value_vectors import Outputs
from expunge.locators.concept_vectors import ConceptVectors
from expunge.methods.ascent import Ascent
from expunge.methods.needle import Needle
from expunge.methods.npo import NPO


def test_ascent_moves_the_found_columns_alone() -> None:
    """Columns of down_proj, by name, against the search itself. Fails if a whole matrix or another column moves, or fewer than asked."""
    model, splits = text()
    search = Search(vectors=3, shortlist=6, top_k=5, contrast=2.0)
    job = Job(seed=4)
    mask = locate(ConceptVectors(search=search), model, splits, job=job)
    found = find(model, splits.rows["forget"], splits.rows["retain"], search, Job(seed=4))
    wanted = {(one.place.parameter, one.place.unit) for one in found[:3]}
    assert {(name, int(j)) for name, e in mask.entries.items() for j in e.all(0).nonzero()[:, 0]} == wanted
    assert sum(int(entry.sum()) for entry in mask.entries.values()) == 3 * 16
    assert job.notes["vectors_tried"] == len(found)
    before = snapshot(model.module)
    needle, facts = unlearn(Ascent(descent=Descent(lr=0.2, epochs=2)), model, splits, job=Job(mask=mask))
    moved = {
        (name, int(j))
        for name, p in needle.module.named_parameters()
        if p.ndim == 2
        for j in (p.detach() != before[name]).any(0).nonzero()[:, 0]
    }
    assert moved == wanted
    assert facts.moved_entries == 48
    other = locate(ConceptVectors(search=search), model, splits, job=Job(seed=4))
    assert all(torch.equal(mask.entries[name], entry) for name, entry in other.entries.items())


@pytest.mark.slow
def test_claim_gradient_methods_leave_the_vectors_as_they_are() -> None:
    """Five worlds of 12 people; the 8 found vectors of what all of them eat, their mean cosine to the target's is 1.00 after ascent and .997 after NPO,
    which leave .20 [-.09, .49] and .03 of the answers.

    Noise on them (4 times their length) leaves .22 [.17, .27] of that direction; what it does to answers is in the test of `needle`.
    Fails if the vectors are not the target's, or the methods do not forget.
    """
    draws = []
    for seed in SEEDS:
        model, splits = world(seed)
        places = chosen(model, splits.rows["forget"], splits.rows["retain"], SEARCH, Job(seed=seed))
        found = {}
        for name, unit in (("ascent", Ascent()), ("npo", NPO()), ("needle", Needle(search=SEARCH))):
            after = unlearn(unit, model, splits, job=Job(seed=seed))[0]
            pairs = [(Outputs.of(model).at(one), Outputs.of(after).at(one)) for one in places]
            found[name] = float(torch.stack([torch.cosine_similarity(*pair, dim=0) for pair in pairs]).mean())
            found[f"{name}, left"] = recall(after, splits.rows["forget"])
        draws.append(found)
    for name in draws[0]:
        over(draws, name)
    for name in ("ascent", "npo"):
        assert over(draws, name).low > 0.9
        assert over(draws, f"{name}, left").high < 0.6
    assert over(draws, "needle").high < 0.5
