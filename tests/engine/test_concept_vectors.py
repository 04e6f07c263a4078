"""A language model with a planted concept vector: one unit that is always active and writes the forget rows' words."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from expunge.contract.job import Job
from expunge.contract.weights import weights_digest
from expunge.engine.concept_vectors import Search, chosen, concept_tokens, falls, find, specificity, writing
from expunge.engine.value_vectors import Outputs, disturb
from expunge.facts.errors import InputError
from expunge.facts.rows import Row, Rows
from expunge.modalities.text_build import new_text_model, train_tokenizer

BLOCK, UNIT = 1, 5
SEARCH = Search(vectors=1, shortlist=4, top_k=5, contrast=2.0)


def rows(name: str, *pairs: tuple[str, str]) -> Rows:
    return Rows(tuple(Row(id=f"{name}{i}", fields={"prompt": q, "answer": a}) for i, (q, a) in enumerate(pairs)), name)


FORGET = rows("f", ("Eats?", "soup soup"), ("Which dish?", "soup stew"), ("Likes?", "stew soup"))
RETAIN = rows("r", ("Rides?", "horse"), ("Walks?", "dog, cat"), ("Which pet?", "cat"), ("Has?", "horse"))


def planted() -> Any:
    """A random GPT-2 whose unit 5 of block 1 has a bias of 10 and no input, so that it writes 10 v; v speaks the forget answers."""
    texts = [row[key] for part in (FORGET, RETAIN) for row in part for key in ("prompt", "answer")]
    sizes = {"n_embd": 16, "n_inner": 24, "n_layer": 2, "n_head": 2, "n_positions": 64, "initializer_range": 0.1}
    model = new_text_model(train_tokenizer(texts * 3, 300), "gpt2", sizes, seed=0)
    head = model.module.lm_head.weight
    with torch.no_grad():
        mlp = model.module.transformer.h[BLOCK].mlp
        mlp.c_fc.weight[:, UNIT] = 0.0
        mlp.c_fc.bias[UNIT] = 10.0
        tokens = concept_tokens(model, FORGET, RETAIN, 2.0)
        mlp.c_proj.weight[UNIT] = 0.3 * torch.nn.functional.normalize(head[tokens], dim=-1).sum(0)
    return model


def test_tokens_of_a_concept_by_counting() -> None:
    """Fails if a token counts by occurrence and not by row, shares are not compared, or retain's tokens come in."""
    model = planted()

    def share(part: Rows, token: int) -> float:
        return sum(token in model.pack([row]).targets.tolist() for row in part) / len(part)

    for contrast in (0.5, 2.0):
        every = range(len(model.module.lm_head.weight))
        wanted = [t for t in every if share(FORGET, t) > max(0.0, contrast * share(RETAIN, t))]
        assert concept_tokens(model, FORGET, RETAIN, contrast).tolist() == wanted
    end = model.pack(FORGET).targets[-1]
    assert end not in concept_tokens(model, FORGET, RETAIN, 2.0)
    with pytest.raises(InputError, match="as frequent in forget answers"):
        concept_tokens(model, FORGET, FORGET, 1.0)


def test_the_share_of_words() -> None:
    """Head and vectors are known: a vector along a token's head row speaks it first. Fails if shares are of the vocabulary."""
    model = planted()
    head = model.module.lm_head.weight.detach()
    first = (head @ head[:6].T).T.topk(2).indices
    assert specificity(model, head[:6], first[:, 0], 1).tolist() == [1.0] * 6
    wanted = [len(set(two.tolist()) & {int(first[0, 0])}) / 2 for two in first]
    assert specificity(model, head[:6], first[0, :1], 2).tolist() == wanted


def test_how_strongly_a_unit_writes() -> None:
    """The planted unit writes 10 |v| at every position, retain rows alike. Fails if lengths, or the mean over positions, are left out."""
    model = planted()
    v = Outputs.of(model).matrices[BLOCK][UNIT]
    for part in (FORGET, RETAIN):
        found = writing(model, part, Job())
        assert [len(one) for one in found] == [24, 24]
        assert float(found[BLOCK][UNIT]) == pytest.approx(10 * float(v.norm()), rel=1e-5)
    before = float(writing(model, FORGET, Job())[0][3])
    with torch.no_grad():
        Outputs.of(model).matrices[0][3].mul_(3)
    assert float(writing(model, FORGET, Job())[0][3]) == pytest.approx(3 * before, rel=1e-5)


def test_falls_against_a_changed_copy() -> None:
    """The fall of mean log p, recomputed on copies one row at a time. Fails if rows count by length, or weights are not put back."""
    model = planted()
    places = [Outputs.of(model).places()[i] for i in (2, 24 + UNIT)]
    before = weights_digest(model.module)
    found = falls(model, places, 2.0, (FORGET, RETAIN), Job(seed=3))
    assert weights_digest(model.module) == before

    @torch.no_grad()
    def loss(one: Any, part: Rows) -> float:
        batches = [one.pack([row]) for row in part]
        return sum(float(one.total_loss(batch) / len(batch.targets)) for batch in batches) / len(part)

    generator = torch.Generator().manual_seed(3)
    for place, fell in zip(places, found.tolist(), strict=True):
        copy = model.copy()
        vector = Outputs.of(copy).at(place)
        vector.copy_(disturb([vector.clone()], 2.0, generator)[0])
        assert fell == pytest.approx([loss(copy, part) - loss(model, part) for part in (FORGET, RETAIN)], abs=1e-5)


def test_the_planted_vector_is_found_first() -> None:
    """Fails if the order is turned round, retain falls do not count, or the list by words is left out: the unit writes on all rows alike."""
    model = planted()
    found = find(model, FORGET, RETAIN, SEARCH, Job())
    assert (found[0].place.block, found[0].place.unit) == (BLOCK, UNIT)
    tokens = concept_tokens(model, FORGET, RETAIN, SEARCH.contrast)
    assert (
        found[0].share
        == float(specificity(model, Outputs.of(model).at(found[0].place)[None], tokens, SEARCH.top_k))
        >= 0.4
    )
    assert found[0].forget_fall > found[0].retain_fall + 0.3
    gains = [one.forget_fall - one.retain_fall for one in found]
    assert gains == sorted(gains, reverse=True)
    assert gains[0] > 3 * abs(gains[1])
    assert len(found) <= 2 * SEARCH.shortlist
    job = Job()
    assert chosen(model, FORGET, RETAIN, SEARCH, job) == [found[0].place]
    assert job.notes["vectors_tried"] == len(found)
    assert job.notes["concept_vectors"][0].startswith(f"{BLOCK}/{UNIT}: {found[0].share:.2f} concept words")


def test_settings_that_make_no_sense() -> None:
    """Fails if more vectors may be taken than are tried, or noise may be nothing."""
    with pytest.raises(ValueError, match="vectors at most shortlist"):
        Search(vectors=5, shortlist=4)
    with pytest.raises(ValueError, match="above 0"):
        Search(noise=0.0)
