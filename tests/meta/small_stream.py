"""Four classes of three rows, a stream of two requests, and one that no request asks for."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from expunge.facts.recipe import Recipe
from expunge.facts.rows import Row, Rows
from expunge.modalities.array_tasks import Classification
from expunge.modalities.tabular import Features, tabular_model
from expunge.testbeds.streams import Request, requests_of


def row(name: str, label: int, *, at: int | None = None) -> Row:
    """A row whose features are the corner of its label, or of another."""
    return Row(id=name, fields={"features": np.eye(4)[label if at is None else at].tolist(), "label": label})


TRAIN = [row(f"{label}-{i}", label) for label in range(4) for i in range(3)]
TEST = [row(f"test-{label}", label) for label in range(4)]


def label_of(one: Row) -> str:
    return str(one["label"])


def stream() -> list[Request]:
    return requests_of(TRAIN, TEST, ["2", "0"], label_of)


def blank(seed: int = 0) -> Any:
    torch.set_num_threads(1)
    return tabular_model("mlp", features=Features(width=4), task=Classification(classes=4), seed=seed, width=16)


def two_requests(module: Any, recipe: Recipe) -> Any:
    """Classes 2 and 0 are reported, settings are searched on class 1."""
    unasked = tuple(requests_of(TRAIN, TEST, ["1"], label_of))
    return module.Stream("Two requests.", Rows(tuple(TRAIN)), tuple(stream()), unasked, blank, recipe)
