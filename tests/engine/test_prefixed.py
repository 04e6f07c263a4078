"""Losses of suffixes that differ in one token, with what stands before it computed once."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from plain_models import text_model

from expunge.engine import prefixed as tested
from expunge.engine.coordinate import begin
from expunge.engine.prefixed import plain_losses, prefixed, swapped_losses
from expunge.facts.rows import Rows

SWAPS = torch.tensor([[0, 40], [0, 70], [1, 12], [3, 9], [3, 10], [3, 200]])


def counted(model: Any, run: Any) -> tuple[Any, int]:
    """Run and count the positions that went through the embedding."""
    found: list[int] = []
    embedding = model.module.get_input_embeddings()
    handle = embedding.register_forward_hook(lambda module, args, output: found.append(args[0].numel()))
    try:
        return run(), sum(found)
    finally:
        handle.remove()


@pytest.mark.parametrize(
    ("architecture", "settings"),
    [
        ("llama", {}),
        ("gpt2", {}),
        ("gpt_neox", {}),
        ("qwen2", {}),
        ("qwen2", {"use_sliding_window": True, "sliding_window": 6, "max_window_layers": 0}),
    ],
)
def test_cached_losses_are_those_of_whole_rows_from_fewer_positions(
    architecture: str, settings: dict[str, Any]
) -> None:
    """Fails if rows are padded into another's columns, positions count padding, or a swap sees the token that it replaces.

    Also if a layer with a window (6 tokens, fewer than a question has) reads keys that its window has left. Positions by hand: each
    row's prefix once, all but the last suffix token once, and for a swap at j the columns from j on.
    """
    model, rows = text_model(architecture, **settings)
    spliced, _, suffix = begin(model, rows, 4, torch.Generator().manual_seed(0))
    wanted, plain = counted(model, lambda: plain_losses(model, spliced, suffix, SWAPS))
    known, first = counted(model, lambda: prefixed(model, spliced))
    found, cached = counted(model, lambda: swapped_losses(model, known, suffix, SWAPS))
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    assert float(wanted.max() - wanted.min()) > 1e-3
    columns = known.ids.shape[1]
    assert first == len(rows) * known.begin
    assert cached == len(rows) * (3 + sum(columns - known.begin - int(place) for place, _ in SWAPS))
    assert plain == len(SWAPS) * spliced.batch.positions
    assert first + cached < 0.8 * plain


def test_a_loss_by_a_plain_forward_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if the mean is one of rows and not of tokens, the end is left out, or pieces of a batch get each other's losses."""
    model, rows = text_model("llama")
    spliced, frame, suffix = begin(model, rows, 3, torch.Generator().manual_seed(0))
    known = prefixed(model, spliced)
    assert known is not None
    losses, count = torch.zeros(()), 0
    swap = torch.tensor([[1, 50]])
    changed = suffix.clone()
    changed[1] = 50
    for row in rows:
        text = model.tokens.decode(suffix.tolist())
        code = model.tokens.encode(f"{row['prompt']} {text}", row["answer"])
        ids = torch.tensor(code.ids)
        place = code.ids.index(int(suffix[0]))
        ids[place : place + 3] = changed
        logits = model.module(input_ids=ids[None]).logits[0, code.first - 1 : -1]
        losses = losses + torch.nn.functional.cross_entropy(logits, ids[code.first :], reduction="sum")
        count += len(ids) - code.first
    assert float(swapped_losses(model, known, suffix, swap)) == pytest.approx(float(losses.detach()) / count, abs=1e-5)
    whole = swapped_losses(model, known, suffix, SWAPS[:3])
    monkeypatch.setattr(tested, "POSITIONS", 1)
    torch.testing.assert_close(swapped_losses(model, known, suffix, SWAPS[:3]), whole, atol=1e-6, rtol=1e-6)
    assert frame.prompt == rows[0]["prompt"]


def test_rows_without_anything_before_the_suffix() -> None:
    """Fails if an empty prefix, or a swap at its first place, asks the cache of no columns for something."""
    from expunge.modalities.text import TextModel
    from expunge.modalities.text_tokens import Template, Tokens

    plain, rows = text_model("llama")
    model = TextModel(plain.module, Tokens(plain.tokens.tokenizer, Template("", "\nAnswer: "), 64))
    bare = Rows(tuple(row.replace(prompt="") for row in rows[:2]))
    spliced, _, suffix = begin(model, bare, 2, torch.Generator().manual_seed(0))
    assert spliced.places.tolist() == [0, 0]
    known = prefixed(model, spliced)
    assert known is not None
    swaps = torch.tensor([[0, 40], [1, 40]])
    torch.testing.assert_close(
        swapped_losses(model, known, suffix, swaps),
        plain_losses(model, spliced, suffix, swaps),
        atol=1e-5,
        rtol=1e-5,
    )


def test_an_architecture_with_a_state_has_no_prefixes() -> None:
    """Fails if a state, which holds all that was read in one, is taken for keys that can be cropped."""
    from transformers import MambaConfig, MambaForCausalLM

    from expunge.modalities.text import TextModel

    plain, rows = text_model("llama")
    size = len(plain.tokens.tokenizer)
    config = MambaConfig(vocab_size=size, hidden_size=8, state_size=2, num_hidden_layers=1, eos_token_id=0)
    model = TextModel(MambaForCausalLM(config), plain.tokens)
    spliced, _, _ = begin(plain, rows, 2, torch.Generator().manual_seed(0))
    assert prefixed(model, spliced) is None
