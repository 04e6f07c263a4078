"""The one adapter a modality: what every method, metric and attack may ask of a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self, runtime_checkable

import torch
from torch import Tensor, nn

from expunge.facts.rows import Row


@dataclass(frozen=True)
class Batch:
    """Rows as tensors. `inputs` is what the adapter's forward takes; the rest is the same in every modality.

    `targets` (positions,) and `owner` (positions,) stand at scored positions only; `owner[p]` is the example that position p
    belongs to, in 0..size-1, non-decreasing. `is_end` (positions,) marks end-of-sequence positions.
    """

    inputs: Mapping[str, Tensor]
    targets: Tensor
    owner: Tensor
    size: int
    is_end: Tensor | None = None
    positions: int = 0
    """Positions the body of the model runs, padding included: what a forward pass costs."""

    def lengths(self) -> Tensor:
        """Return the number of scored positions of each example, (size,)."""
        return torch.bincount(self.owner, minlength=self.size)


class Question(NamedTuple):
    """One prompt with several named answers, scored together behind it; a classifier has one answer, `label`.
    One is made of every row that is read: a tuple is made faster than a frozen dataclass.
    """

    row_id: str
    prompt: Any
    answers: Mapping[str, Any]


@dataclass(frozen=True)
class Sites:
    """Module names by role, in order of depth; empty where an architecture has none."""

    blocks: tuple[str, ...] = ()
    attention: tuple[str, ...] = ()
    feed_forward: tuple[str, ...] = ()
    cross_attention: tuple[str, ...] = ()
    embedding: tuple[str, ...] = ()
    head: tuple[str, ...] = ()


@dataclass(frozen=True)
class Capabilities:
    """What this adapter can do beyond the loss; a unit that needs more is refused with the name of what is missing."""

    logits: bool = True
    features: bool = True
    generate: bool = False
    predictions: bool = False
    """One answer a row, so that all its probabilities fit in one array."""
    numbers: bool = False
    """It predicts a number: there are no logits, and the one pass holds -total_loss, the log density of the target."""
    notes: tuple[str, ...] = field(default=())


@runtime_checkable
class Model(Protocol):
    """A model with the tokenizer, scaler or scheduler it needs to read rows.

    Losses are in nats and are sums over an example's scored positions; `loss = total_loss / lengths`. `noise` is an argument because
    a diffusion method and its frozen copy must see the same noise; other modalities return None from `noise()`.
    """

    modality: str
    module: nn.Module
    capabilities: Capabilities

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""

    def pack(self, rows: Sequence[Row]) -> Batch:
        """Return rows as one batch, one answer each, examples in order."""

    def pack_apart(self, rows: Sequence[Row]) -> Batch:
        """Return rows as one batch where example i is entry i of the first dimension of every input that a layer sees.

        What per-example gradients need. Where `pack` puts one example a row already (images, tables), this is `pack`; a
        language model pads each example in a row of its own. The first dimension of `noise` is the example, too.
        """

    def questions(self, rows: Sequence[Row]) -> list[Question]:
        """Return each row's prompt with all its named answers (answer, paraphrased_answer, perturbed_answer/0...)."""

    def pack_questions(self, questions: Sequence[Question]) -> Batch:
        """Return questions with all their answers behind one shared prompt; examples are (question, answer) pairs."""

    def question_cost(self, question: Question) -> int:
        """Return the positions this question takes: what a batch is filled by."""

    def total_loss(self, batch: Batch, noise: Tensor | None = None) -> Tensor:
        """Return the loss summed over each example's scored positions, (size,), in nats."""

    def logits(self, batch: Batch) -> Tensor:
        """Return logits at scored positions only, (positions, classes)."""

    def features(self, batch: Batch, at: str) -> Tensor:
        """Return the output of the module named `at` at scored positions, (positions, width); runs no deeper than it."""

    def relabel(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Return the batch with targets drawn at random from the other classes."""

    def noise(self, batch: Batch, generator: torch.Generator) -> Tensor | None:
        """Return the noise that `total_loss` takes, or None."""

    def sites(self) -> Sites:
        """Return named modules by role."""

    def copy(self) -> Self:
        """Return an independent copy: no tensor shared."""

    def fresh(self, seed: int) -> Self:
        """Return the same architecture with newly drawn weights."""

    def save(self, directory: Path) -> None:
        """Write a directory that `load` reads; safetensors, never pickle."""


Reduction = Callable[[Tensor, Tensor], tuple[Tensor, ...]]
"""Logits (positions, classes) and targets (positions,) to a few numbers a position, each (positions,)."""


@runtime_checkable
class Reducing(Protocol):
    """An adapter that never holds all logits: they are reduced a few positions at a time, equal predictions once."""

    def reduce_logits(self, batch: Batch, reduce: Reduction, *, most: int) -> tuple[Tensor, ...]:
        """Return `reduce(logits, targets)` at scored positions, with about `most` logits at once."""


class Generator(Protocol):
    """What engine.generate asks of an adapter that can generate text."""

    def generate(self, rows: Sequence[Row], *, max_new_tokens: int) -> list[str]:
        """Return one greedy answer a row."""
