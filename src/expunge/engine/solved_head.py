"""A network whose linear head is solved from rows: what every such model is, reads and keeps of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from expunge.contract.model import Batch, Capabilities, Model, Question, Sites
from expunge.engine.order import cut
from expunge.engine.predict import prediction
from expunge.facts.errors import InputError
from expunge.facts.rows import Row
from expunge.maths.analytic_ridge import Matrix, on_grid

BATCH = 256


Entry = tuple[Matrix, Matrix, str]
"""What the head reads of a row: its inputs (with 1 for the bias), its targets, and a hash of both."""
SAW = {
    "random": "the frozen layers are newly drawn weights, trained on no row",
    "base": "the frozen layers are the base model's, of which it was not checked that it never saw the forget rows",
    "trained": "kept although it saw the forget rows: every layer below the head",
}
"""What frozen layers saw, in words for the record."""


@dataclass
class SolvedHead:
    """The adapter's side of a model with such a head: every question goes to `inner`, whose head holds the solution."""

    inner: Model
    module: nn.Module = field(init=False)
    modality: str = field(init=False)
    capabilities: Capabilities = field(init=False)

    def __post_init__(self) -> None:
        self.module, self.modality = self.inner.module, self.inner.modality
        self.capabilities = self.inner.capabilities

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.inner.device

    def pack(self, rows: Sequence[Row]) -> Batch:
        """Return rows as one batch."""
        return self.inner.pack(rows)

    def pack_apart(self, rows: Sequence[Row]) -> Batch:
        """Return rows packed one example a batch row."""
        return self.inner.pack_apart(rows)

    def questions(self, rows: Sequence[Row]) -> list[Question]:
        """Return prompts with their answers."""
        return self.inner.questions(rows)

    def pack_questions(self, questions: Sequence[Question]) -> Batch:
        """Return questions as one batch."""
        return self.inner.pack_questions(questions)

    def question_cost(self, question: Question) -> int:
        """Return the positions of a question."""
        return self.inner.question_cost(question)

    def logits(self, batch: Batch) -> Tensor:
        """Return each class's score, (positions, classes)."""
        return self.inner.logits(batch)

    def predict(self, batch: Batch) -> Tensor:
        """Return log-probabilities, or of a regression the predicted numbers."""
        return prediction(self.inner, batch)

    def total_loss(self, batch: Batch, noise: Tensor | None = None) -> Tensor:
        """Return the loss of the network with this head, (size,)."""
        return self.inner.total_loss(batch, noise)

    def features(self, batch: Batch, at: str) -> Tensor:
        """Return the output of a named module."""
        return self.inner.features(batch, at)

    def relabel(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Return the batch with other targets."""
        return self.inner.relabel(batch, generator)

    def noise(self, batch: Batch, generator: torch.Generator) -> Tensor | None:
        """Return the noise the loss takes."""
        return self.inner.noise(batch, generator)

    def sites(self) -> Sites:
        """Return named modules by role."""
        return self.inner.sites()


def entries_of(inner: Model, rows: Sequence[Row], targets: Callable[[Batch], Matrix]) -> dict[str, Entry]:
    """Return what the head reads of each row, by a hash of its id.

    Computed by the layers below in float64 and rounded to the grid, so that it is the same in any batch.
    """
    head, double = head_of(inner), inner.copy()
    double.module.double()
    found: dict[str, Entry] = {}
    for part in cut(range(len(rows)), BATCH):
        some = [rows[i] for i in part]
        batch = double.pack(some)
        x = on_grid(_head_inputs(double, batch).cpu().numpy())
        if head.bias is not None:
            x = np.hstack([x, np.ones((len(x), 1))])
        y = targets(batch)
        for i, row in enumerate(some):
            numbers = hashlib.blake2b(x[i].tobytes() + (y[i] + 0.0).tobytes(), digest_size=16).hexdigest()
            found[tag_of(row)] = x[i], y[i], numbers
    return found


def leaving(rows: Sequence[Row], given: Mapping[str, Entry], held: Mapping[str, str]) -> dict[str, Entry]:
    """Return the entries of those rows that are in (`held`: the hash of each one's numbers).

    Refused are rows whose numbers are not those that were added, and rows whose numbers are in under another id: they are not gone.
    """
    gone = {tag: entry for tag, entry in given.items() if tag in held}
    check_same(rows, gone, held)
    left = {numbers for tag, numbers in held.items() if tag not in gone}
    renamed = [row.id for row in rows if tag_of(row) not in gone and given[tag_of(row)][2] in left]
    if renamed:
        raise InputError(
            f"row {renamed[0]!r} is not in this model under its id, but the same numbers are, under another one",
            causes=("its id changed since the model was prepared", "the same row was learnt twice"),
            do="give the row under the id that it was learnt under",
        )
    return gone


def check_same(rows: Sequence[Row], given: Mapping[str, Entry], held: Mapping[str, str]) -> None:
    """Refuse a row that is given and in under the same id with other numbers."""
    changed = [row.id for row in rows if tag_of(row) in given and given[tag_of(row)][2] != held[tag_of(row)]]
    if changed:
        raise InputError(
            f"row {changed[0]!r} is not what was learnt under this id",
            causes=("its features or its label changed", "the weights of the backbone changed"),
            do="give the row as it was when the model was prepared",
        )


def one_hot(batch: Batch, classes: int) -> Matrix:
    """Return 1 at each example's class, (examples, classes)."""
    return np.asarray(np.eye(classes)[batch.targets.cpu().numpy()])


def tag_of(row: Row) -> str:
    """Return the hash that a row is known by."""
    return hashlib.blake2b(row.id.encode(), digest_size=16).hexdigest()


def write_tags(rows: Mapping[str, str]) -> Matrix:
    """Return the hashes of rows and of their numbers as one array of bytes, to be saved."""
    return np.frombuffer(bytes.fromhex("".join(tag + rows[tag] for tag in sorted(rows))), np.uint8)


def read_tags(saved: Any) -> dict[str, str]:
    """Return what `write_tags` wrote."""
    tags = saved.tobytes().hex()
    return {tags[i : i + 32]: tags[i + 32 : i + 64] for i in range(0, len(tags), 64)}


def put_head(inner: Model, solved: Matrix) -> None:
    """Write a solution (width, outputs), whose last row is the bias where there is one, into the head."""
    found, head = torch.from_numpy(np.ascontiguousarray(solved)), head_of(inner)
    weight, bias = (found[:-1], found[-1]) if head.bias is not None else (found, None)
    with torch.no_grad():
        head.weight.copy_(weight.T)
        if bias is not None:
            head.bias.copy_(bias)


def head_of(model: Model) -> nn.Linear:
    """Return the linear head; a network without exactly one is refused."""
    names = model.sites().head
    head = model.module.get_submodule(names[0]) if len(names) == 1 else None
    if not isinstance(head, nn.Linear):
        raise InputError("an analytic head takes the place of one linear head, and this network has none")
    return head


@torch.no_grad()
def _head_inputs(model: Model, batch: Batch) -> Tensor:
    """Return what the head is given, (examples, width)."""
    seen: list[Tensor] = []
    handle = head_of(model).register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    try:
        model.total_loss(batch)
    finally:
        handle.remove()
    return seen[0]
