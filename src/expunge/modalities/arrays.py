"""Models that map one array to one answer (images, table rows to a class or a number), behind the one adapter."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn

from expunge.contract.model import Batch, Capabilities, Question, Sites
from expunge.engine.hooks import output_at
from expunge.facts.errors import InputError
from expunge.facts.rows import Row
from expunge.modalities.array_tasks import Classification, Regression
from expunge.modalities.directory import Architecture, write_directory

ENTRIES_PER_POSITION = 16
"""Array entries that cost about what one position of a text does: what a scoring batch is filled by."""


def refuse_not_finite(arrays: Tensor, ids: Sequence[str], what: str) -> None:
    """Refuse a batch that holds NaN or infinity, by the row that does."""
    finite = torch.isfinite(arrays)
    if not bool(finite.all()):
        first = int((~finite.flatten(1).all(1)).nonzero()[0])
        raise InputError(f"row {ids[first]!r}: {what} holds values that are not finite", do="fill in what is missing")


class Reader(Protocol):
    """How arrays of a modality become the network's input."""

    @property
    def modality(self) -> str:
        """vision or tabular."""

    @property
    def field(self) -> str:
        """The row's field that holds the array."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example."""

    def read(self, arrays: Sequence[Any], ids: Sequence[str]) -> Tensor:
        """Return normalised arrays, (examples, *shape), float32; one of another shape is refused by its row."""

    def describe(self) -> dict[str, Any]:
        """Return what `expunge.json` keeps."""


@dataclass
class ArrayModel:
    """A classifier or regressor. Rows carry an array and `label`; each example has one scored position.

    The networks hold parameters and nothing else (GroupNorm and LayerNorm, never running statistics): a buffer moves outside
    every scope and mask, keeps a trace of the forget rows, and makes an example's gradient depend on its batch.
    """

    module: nn.Module
    architecture: Architecture
    reader: Reader
    task: Classification | Regression
    modality: str = field(init=False)
    capabilities: Capabilities = field(init=False)

    def __post_init__(self) -> None:
        self.modality = self.reader.modality
        classes = isinstance(self.task, Classification)
        self.capabilities = Capabilities(logits=classes, predictions=True, numbers=not classes)
        self._positions = max(1, math.prod(self.reader.shape) // ENTRIES_PER_POSITION)

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.module.parameters()).device

    def questions(self, rows: Sequence[Row]) -> list[Question]:
        """Return each row's array with its one answer, `label`."""
        found, field = [], self.reader.field
        for row in rows:
            array, label = row.get(field), row.get("label")
            if array is None or label is None:
                name = field if array is None else "label"
                raise InputError(f"row {row.id!r} has no {name}", do=f"map the column: --map {name}=COLUMN")
            found.append(Question(row.id, array, {"label": label}))
        return found

    def question_cost(self, question: Question) -> int:
        """Return what the example takes, in positions."""
        return self._positions * len(question.answers)

    def pack_questions(self, questions: Sequence[Question]) -> Batch:
        """Return one example an answer, in order."""
        asked = [(question, answer) for question in questions for answer in question.answers.values()]
        ids = [question.row_id for question, _ in asked]
        weight = next(self.module.parameters())
        return Batch(
            {"x": self.reader.read([question.prompt for question, _ in asked], ids).to(weight)},
            self.task.targets([answer for _, answer in asked], ids).to(weight.device),
            torch.arange(len(asked), device=weight.device),
            len(asked),
            positions=self._positions * len(asked),
        )

    def pack(self, rows: Sequence[Row]) -> Batch:
        """Return rows as one batch, examples in order."""
        return self.pack_questions(self.questions(rows))

    def pack_apart(self, rows: Sequence[Row]) -> Batch:
        """Return rows as one batch, one example a batch row: what `pack` does here."""
        return self.pack(rows)

    def outputs(self, batch: Batch) -> Tensor:
        """Return what the network gives, (examples, outputs)."""
        found: Tensor = self.module(batch.inputs["x"])
        return found

    def logits(self, batch: Batch) -> Tensor:
        """Return logits, (examples, classes); a regression has none."""
        if not self.capabilities.logits:
            raise InputError("a regression has no logits", do="use a unit that needs the loss only")
        return self.outputs(batch)

    def predict(self, batch: Batch) -> Tensor:
        """Return log p of every class, (size, classes), in nats; of a regression the predicted numbers, (size, 1)."""
        return self.task.predictions(self.outputs(batch))

    def total_loss(self, batch: Batch, noise: Tensor | None = None) -> Tensor:
        """Return -log p(label) in nats, or half the squared error of a standardised target, (size,)."""
        return self.task.losses(self.outputs(batch), batch.targets)

    def features(self, batch: Batch, at: str) -> Tensor:
        """Return the output of a named module, every axis but the first flattened, (size, width)."""
        return output_at(self.module, at, lambda: self.outputs(batch)).flatten(1)

    def relabel(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Return the batch with each label replaced by another class (each target by a Gaussian draw)."""
        drawn = self.task.redraw(batch.targets, generator)
        return Batch(batch.inputs, drawn, batch.owner, batch.size, batch.is_end, batch.positions)

    def noise(self, batch: Batch, generator: torch.Generator) -> None:
        """Return None: these losses have no noise."""

    def sites(self) -> Sites:
        """Return the parts by module name: every network here has `stem`, `blocks` and `head`."""
        names = [name for name, _ in self.module.named_modules()]
        return Sites(
            blocks=tuple(name for name in names if name.startswith("blocks.") and name.count(".") == 1),
            attention=tuple(name for name in names if name.endswith(".attention")),
            feed_forward=tuple(name for name in names if name.endswith(".feed_forward")),
            embedding=("stem",),
            head=("head",),
        )

    def around(self, module: nn.Module) -> Self:
        """Return this adapter around another network of the same input and output."""
        twin = copy.copy(self)
        twin.module = module
        return twin

    def copy(self) -> Self:
        """Return a copy that shares no tensor."""
        return self.around(copy.deepcopy(self.module))

    def fresh(self, seed: int) -> Self:
        """Return the same architecture with every weight drawn anew under `seed`."""
        module = self.architecture.build(self.reader.shape, self.task.outputs, seed=seed)
        return self.around(module.to(next(self.module.parameters())))

    def save(self, directory: Path) -> None:
        """Write `model.safetensors` and `expunge.json`."""
        description = {
            "modality": self.modality,
            "network": self.architecture.name,
            "arguments": dict(self.architecture.arguments),
            "input": self.reader.describe(),
            "task": self.task.describe(),
        }
        write_directory(directory, self.module, description)
