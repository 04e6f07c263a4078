"""The locator of a concept's value vectors."""

from __future__ import annotations

import torch
from locator_models import text

from expunge.contract.apply import locate, unlearn
from expunge.contract.job import Job
from expunge.contract.weights import snapshot
from expunge.engine.concept_vectors import Search, find
from expunge.engine.descend import Descent
from expunge.locators.concept_vectors import ConceptVectors
from expunge.methods.ascent import Ascent


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
