"""The plans that ship with the package: the demo's."""

from __future__ import annotations

from typing import Any

# 48 public test rows cannot see a utility loss of .05, the default margin; they see .1. Forty people of two facts each: rows of one
# person are not independent, and fewer people could not see the margins of the membership attacks.
PEOPLE: dict[str, Any] = {
    "request": {
        "id": "people", "kind": "knowledge", "source": "people",
        "settings": {"people": 100, "forget_people": 40, "holdout_people": 40, "relations": 2},
    },
    "model": {
        "architecture": "llama",
        "settings": {
            "hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 4, "max_position_embeddings": 512, "tie_word_embeddings": True, "vocabulary": 1024,
        },
    },
    "recipe": {"epochs": 40, "lr": 4e-3, "batch_size": 32, "stop_loss": 0.02},
    "method": [
        {"name": "finetune"}, {"name": "ascent"}, {"name": "grad_diff"}, {"name": "npo"}, {"name": "rmu"},
        {"name": "refusal", "guard": True},
    ],
    "verify": {"battery": "standard", "max_new_tokens": 32, "retain_rows": 200},
    "thresholds": {"utility_margin": 0.1},
}  # fmt: skip
DIGITS: dict[str, Any] = {
    "request": {"id": "digits", "kind": "data", "source": "digits", "settings": {}},
    "model": {"architecture": "cnn", "settings": {}},
    "recipe": {"epochs": 8, "lr": 3e-3, "batch_size": 64},
    "method": [
        {"name": "finetune"},
        {"name": "ssd"},
        {"name": "random_label", "locator": "saliency"},
        {"name": "scrub"},
    ],
    "verify": {"battery": "standard"},
}
