"""A cache with room ahead holds what the framework's own holds."""

from __future__ import annotations

import pytest
import torch
from transformers import DynamicCache, LlamaConfig, MistralConfig

from expunge.engine import room
from expunge.engine.room import RoomyLayer, roomy_cache


def test_holds_what_the_frameworks_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens one by one past its room, rows leaving, tokens taken back. Fails if old tokens are lost when it grows or rows leave."""
    monkeypatch.setattr(room, "AHEAD", 2)
    config = LlamaConfig(num_hidden_layers=2, hidden_size=8, num_attention_heads=2)
    own, plain = roomy_cache(config), DynamicCache(config=config)
    assert [type(layer) for layer in own.layers] == [RoomyLayer] * 2
    draw = torch.Generator().manual_seed(0)
    rows, moved = 3, 0
    for step in range(12):
        if step == 5:
            for cache in (own, plain):
                cache.batch_select_indices(torch.tensor([0, 2]))
            rows = 2
        if step == 8:
            for cache in (own, plain):
                cache.crop(-3)
        keys = torch.randn(rows, 2, 4 if step == 0 else 1, 4, generator=draw)
        for layer in range(2):
            before = own.layers[layer]._rooms  # type: ignore[attr-defined]
            found = own.update(keys + layer, keys - layer, layer)
            wanted = plain.update(keys + layer, keys - layer, layer)
            assert torch.equal(found[0], wanted[0])
            assert torch.equal(found[1], wanted[1])
            moved += before is not own.layers[layer]._rooms  # type: ignore[attr-defined]
        assert own.get_seq_length() == plain.get_seq_length()
    assert moved < 2 * 12, "everything was copied at every token after all"


def test_sliding_windows_stay_the_frameworks() -> None:
    """Fails if a window's layer keeps tokens that left the window."""
    config = MistralConfig(num_hidden_layers=2, hidden_size=8, num_attention_heads=2, sliding_window=4)
    assert [type(a) for a in roomy_cache(config).layers] == [type(a) for a in DynamicCache(config=config).layers]
    assert RoomyLayer not in {type(layer) for layer in roomy_cache(config).layers}
