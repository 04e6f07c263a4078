"""What a model predicts for each row: the whole distribution over classes, or the number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from expunge.contract.job import Job
from expunge.contract.model import Batch, Model
from expunge.engine.kernels import fast_linear
from expunge.engine.order import cut
from expunge.facts.errors import InputError
from expunge.facts.rows import Rows

ROWS = 512
"""Rows read at once."""


@runtime_checkable
class Predicting(Protocol):
    """An adapter with a prediction of its own; the others' is the softmax of their logits."""

    def predict(self, batch: Batch) -> Tensor:
        """Return log-probabilities (size, classes) in nats, or predicted numbers (size, 1) on the scale of the rows."""


def prediction(model: Model, batch: Batch) -> Tensor:
    """Return log-probabilities (size, classes) in nats, or predicted numbers (size, 1) on the scale of the rows."""
    if isinstance(model, Predicting):
        return model.predict(batch)
    return torch.log_softmax(model.logits(batch).float(), dim=-1)


@torch.no_grad()
def over_rows(model: Model, rows: Rows, of: Callable[[Batch], Tensor]) -> Tensor:
    """Return `of` of all rows, (rows, ...), read a few at a time: never are the hidden values of all in memory."""
    return torch.cat([of(model.pack(rows.take(indices))) for indices in cut(range(len(rows)), ROWS)])


def predict(model: Model, rows: Rows, *, job: Job) -> NDArray[np.float32]:
    """Return what `model` predicts for each row, (rows, outputs); a model that writes or draws is refused."""
    if not model.capabilities.predictions:
        raise InputError(f"a {model.modality} model of this kind gives no single prediction a row")
    with job.autocast(), fast_linear():
        found = over_rows(model, rows, lambda batch: prediction(model, batch).float().cpu())
    return np.asarray(found.numpy(), np.float32)
