"""What the protocols on classifiers have in common: what is measured and attacked, and the table's columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

METRICS = ("accuracy", "probability", "gap_closed", "tow")
ATTACKS = ("direct_question", "loss", "reference", "rmia", "relearning", "quantisation", "feature_probe")
METHODS = (
    "retrain",
    "finetune",
    "random_label",
    "random_label+saliency",
    "l1_sparse",
    "scrub",
    "ssd",
    "bad_teacher",
    "ascent",
)


def columns(*splits: str) -> tuple[str, ...]:
    """Return the accuracy of each split, how much of the gap is closed, and what attacks see."""
    return (
        *(f"accuracy:{split}" for split in splits),
        "gap_closed:forget",
        "tow:all",
        *(f"{attack}:auc" for attack in ("loss", "reference", "rmia")),
        *(f"{attack}:success" for attack in ("relearning", "quantisation", "feature_probe")),
    )


def network(name: str, width: int, depth: int) -> Mapping[str, Any]:
    """Return the settings of a plan that name the network."""
    return {"architecture": name, "model": {"width": width, "depth": depth}}
