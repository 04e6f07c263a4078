"""The greedy search of a text behind the question, token by token."""

from __future__ import annotations

from itertools import islice, pairwise
from typing import Any

import pytest
import torch
from plain_models import text_model

from expunge.engine.coordinate import (
    asked_with,
    begin,
    draw_swaps,
    is_text,
    search,
    swapped,
    token_gradient,
)
from expunge.engine.prefixed import mean_loss
from expunge.facts.errors import InputError
from expunge.facts.rows import Row, Rows


@pytest.fixture(scope="module")
def model() -> Any:
    return text_model("llama")[0]


@pytest.fixture(scope="module")
def rows() -> Rows:
    return text_model("llama")[1][:3]


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_first_suffix_is_a_text_behind_every_question(model: Any, rows: Rows) -> None:
    """Fails if a place is that of the first row in all, or the tokens are not what the tokenizer reads behind the question."""
    spliced, frame, suffix = begin(model, rows, 3, draw())
    text = model.tokens.decode(suffix.tolist())
    asked = asked_with(rows, text)
    assert asked[1]["prompt"] == f"{rows[1]['prompt']} {text}"
    for r, row in enumerate(asked):
        ids = model.tokens.prompt_ids(row["prompt"])
        place = int(spliced.places[r])
        assert ids[place : place + 3] == suffix.tolist()
        assert int(spliced.first[r]) == model.tokens.encode(row["prompt"], row["answer"]).first
    assert len({int(place) for place in spliced.places}) > 1
    assert is_text(model, frame, suffix)
    torch.testing.assert_close(
        mean_loss(model, spliced.filled(suffix)), mean_loss(model, model.pack_apart(asked)), atol=1e-5, rtol=1e-5
    )
    assert not torch.equal(suffix, begin(model, rows, 3, draw(1))[2])


def test_what_merges_is_no_text(model: Any, rows: Rows) -> None:
    """Fails if tokens that the tokenizer would join (h, e behind t), or one that has no text, pass."""
    tokenizer = model.tokens.tokenizer
    _, frame, suffix = begin(model, rows, 3, draw())
    whole = tokenizer(" the", add_special_tokens=False)["input_ids"]
    assert len(whole) == 1
    letters = [tokenizer(letter, add_special_tokens=False)["input_ids"][0] for letter in (" t", "h", "e")]
    assert is_text(model, frame, torch.tensor(whole * 3))
    assert not is_text(model, frame, torch.tensor(letters))
    assert not is_text(model, frame, swapped(suffix, torch.tensor([1, model.tokens.eos])))


def test_the_gradient_is_that_of_one_hot_tokens(model: Any, rows: Rows) -> None:
    """Fails if it is of a sum and not the mean a token, or reaches one row's suffix only: against o E in a plain forward a row."""
    spliced, _, suffix = begin(model, rows, 3, draw())
    loss, gradient = token_gradient(model, spliced, suffix)
    table = model.module.get_input_embeddings().weight.detach()
    one_hot = torch.nn.functional.one_hot(suffix, len(table)).float().requires_grad_()
    total, count = torch.zeros(()), 0
    for row in asked_with(rows, model.tokens.decode(suffix.tolist())):
        code = model.tokens.encode(row["prompt"], row["answer"])
        ids, place = torch.tensor(code.ids), code.ids.index(int(suffix[0]))
        vectors = torch.cat([table[ids[:place]], one_hot @ table, table[ids[place + 3 :]]])
        logits = model.module(inputs_embeds=vectors[None]).logits[0, code.first - 1 : -1]
        total = total + torch.nn.functional.cross_entropy(logits, ids[code.first :], reduction="sum")
        count += len(ids) - code.first
    (wanted,) = torch.autograd.grad(total / count, one_hot)
    assert loss == pytest.approx(float(total.detach()) / count, abs=1e-5)
    torch.testing.assert_close(gradient, wanted, atol=1e-6, rtol=1e-4)


def test_swaps_by_hand() -> None:
    """Fails if the largest gradients are taken, the token that stands there is drawn, or one swap is there twice.

    Of place 0 the two least are tokens 1 and 3 (2 stands there), of place 1 tokens 2 and 0 (3 stands there).
    """
    gradient = torch.tensor([[0.5, -1.0, -9.0, 0.0], [0.1, 0.9, -0.3, -5.0]])
    found = draw_swaps(gradient, torch.tensor([2, 3]), 99, 2, draw())
    assert found.tolist() == [[0, 1], [0, 3], [1, 2], [1, 0]]
    few = draw_swaps(gradient, torch.tensor([2, 3]), 2, 2, draw(3))
    assert 1 <= len(few) <= 2
    assert all(swap in found.tolist() for swap in few.tolist())
    assert len(draw_swaps(gradient, torch.tensor([2, 3]), 99, 50, draw())) == 6


def test_one_step_with_every_swap_finds_the_best_of_all(model: Any, rows: Rows) -> None:
    """Fails if the best is not the least, or no text: against every token in a suffix of one, from whole rows."""
    _, frame, first = begin(model, rows, 1, draw())
    size = len(model.tokens.tokenizer)
    losses = {}
    for token in range(size):
        ids = torch.tensor([token])
        if is_text(model, frame, ids):
            text = model.tokens.decode([token])
            with torch.no_grad():
                losses[token] = float(mean_loss(model, model.pack_apart(asked_with(rows, text))))
    assert 20 < len(losses) < size
    found = next(search(model, rows, count=1, candidates=100_000, top=size, generator=draw()))
    least = min(losses, key=losses.__getitem__)
    assert found.ids == (least,)
    assert found.loss == pytest.approx(losses[least], abs=1e-5)
    assert losses[int(first)] > found.loss


def test_the_best_so_far_is_kept(model: Any, rows: Rows) -> None:
    """Fails if a worse suffix takes the place of a better one, the search stands still, or its loss is not its text's."""
    steps = search(model, rows, count=4, candidates=12, top=16, generator=draw())
    found = list(islice(steps, 25))
    assert all(later.loss <= earlier.loss for earlier, later in pairwise(found))
    assert len({best.ids for best in found}) > 4
    last = found[-1]
    with torch.no_grad():
        assert float(mean_loss(model, model.pack_apart(asked_with(rows, last.text)))) == pytest.approx(
            last.loss, abs=1e-4
        )
    assert last.loss < found[0].loss - 0.01


def test_whole_rows_and_prefixes_search_alike(model: Any, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if the search without prefixes, of architectures with a state, takes other steps; or global chance enters."""
    torch.manual_seed(7)
    with_cache = list(islice(search(model, rows, count=3, candidates=8, top=8, generator=draw()), 4))
    monkeypatch.setattr("expunge.engine.coordinate.prefixed", lambda *given: None)
    torch.manual_seed(8)
    without = list(islice(search(model, rows, count=3, candidates=8, top=8, generator=draw()), 4))
    assert [best.ids for best in with_cache] == [best.ids for best in without]
    assert [best.loss for best in with_cache] == pytest.approx([best.loss for best in without], abs=1e-5)


def test_a_tokenizer_without_such_a_token_is_refused(model: Any) -> None:
    """Fails if a suffix starts from tokens that are not read as themselves: here no word of the vocabulary leaves the prompt alone."""
    every = " ".join(model.tokens.decode([token]) for token in range(len(model.tokens.tokenizer)))
    room = Rows((Row(id="a", fields={"prompt": every, "answer": "Ko"}),))
    with pytest.raises(InputError, match="no token of this tokenizer"):
        begin(model, room, 2, draw())
