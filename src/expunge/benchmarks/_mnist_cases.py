"""What each case of the MNIST benchmark trains on, and the methods' settings that are not their defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CASES: Mapping[str, Mapping[str, Any]] = {
    "class": {"train_rows": 15000, "epochs": 4, "batch_size": 128, "stop_loss": None, "holdout": 0.5},
    "random": {"train_rows": 3000, "epochs": 30, "batch_size": 64, "stop_loss": 0.02, "holdout": 1.0},
    "sample": {"train_rows": 3000, "epochs": 30, "batch_size": 64, "stop_loss": 0.02, "holdout": 2.0},
}
"""Sizes of each case: a wrong label is learned by heart in many passes, over few rows."""
TUNED: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "class": {
        "ssd": {"alpha": 6.0},
        "random_label+saliency": {"lr": 6e-3, "batch_size": 128},
        "l1_sparse": {"alpha": 1e-4, "epochs": 2, "batch_size": 128},
        "scrub": {"lr": 6e-3, "epochs": 2, "max_epochs": 1, "batch_size": 128},
        "ascent": {"batch_size": 128},
        "finetune": {"lr": 1.6e-2, "epochs": 2, "batch_size": 128},
    },
}
"""Settings other than the defaults, by case: for a class the best of four trials a method on class 3."""
