"""The small model that the protocols on text train from nothing."""

from __future__ import annotations

from typing import Any


def small_llama(width: int, layers: int, *, positions: int, vocabulary: int) -> dict[str, Any]:
    """Return the settings of a Llama-style model: heads of 32, a feed-forward part of 11/4 of the width (in eights), tied embeddings."""
    heads = width // 32
    return {
        "hidden_size": width,
        "intermediate_size": width * 11 // 4 // 8 * 8,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": heads,
        "max_position_embeddings": positions,
        "tie_word_embeddings": True,
        "vocabulary": vocabulary,
    }
