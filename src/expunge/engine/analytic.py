"""A network with an analytic head: a frozen backbone, and the sums from which its linear head is solved."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from expunge.contract.model import Batch, Capabilities, Model, Question, Sites
from expunge.engine.order import cut
from expunge.engine.predict import prediction
from expunge.facts.errors import InputError
from expunge.facts.rows import Row
from expunge.maths.analytic_ridge import AnalyticRidge, Matrix, on_grid

FILE, KIND = "sums.checkpoint", "analytic"
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
class AnalyticModel:
    """A model whose head is the ridge solution over the rows it holds; every question goes to `inner`.

    `rows` maps a hash of each row's id to one of the very numbers that were added for it. They go when the row goes; while it
    is in, whoever has this state can tell that it is. Sums over few rows give those rows away: the state is as private as the rows.
    `backbone` says what the frozen layers saw: nothing (random), what the base model saw, or (trained) every row.
    """

    inner: Model
    state: AnalyticRidge
    rows: Mapping[str, str]
    scale: float
    backbone: str
    module: nn.Module = field(init=False)
    modality: str = field(init=False)
    capabilities: Capabilities = field(init=False)

    def __post_init__(self) -> None:
        self.module, self.modality = self.inner.module, self.inner.modality
        self.capabilities = self.inner.capabilities

    @classmethod
    def empty(cls, inner: Model, *, ridge: float, scale: float, backbone: str) -> AnalyticModel:
        """Return the model with a head of zeros, which holds no row."""
        head = head_of(inner)
        width = head.in_features + (head.bias is not None)
        state = AnalyticRidge.empty(width, head.out_features, ridge=ridge)
        return cls(inner, state, {}, scale, backbone)

    def entries(self, rows: Sequence[Row]) -> dict[str, Entry]:
        """Return what each row adds, by a hash of its id."""
        return entries_of(self.inner, rows, self._targets)

    def _targets(self, batch: Batch) -> Matrix:
        if not self.capabilities.logits:
            return on_grid(batch.targets.cpu().numpy()[:, None])
        return on_grid(one_hot(batch, self.state.cross.shape[1]) * self.scale)

    def learn(self, rows: Sequence[Row]) -> None:
        """Add rows to the sums and solve the head."""
        added = self.entries(rows)
        twice = sorted(set(added) & set(self.rows))
        if twice:
            raise InputError(f"{len(twice)} rows are to be learnt that were learnt already")
        state = self.state.learn(*_stacked(added, self.state)) if added else self.state
        self._set(state, {**self.rows, **{tag: numbers for tag, (_, _, numbers) in added.items()}})

    def forget(self, rows: Sequence[Row]) -> int:
        """Take rows out of the sums, solve the head, and return how many were in; rows that are not in change nothing.

        Refused are rows whose numbers are not those that were added, and rows whose numbers are in under another id: they are not gone.
        """
        gone = leaving(rows, self.entries(rows), self.rows)
        if gone:
            state = self.state.forget(*_stacked(gone, self.state))
            self._set(state, {tag: numbers for tag, numbers in self.rows.items() if tag not in gone})
        return len(gone)

    def _set(self, state: AnalyticRidge, rows: Mapping[str, str]) -> None:
        """Solve first, then change the head, the sums and the list together: a refusal changes nothing."""
        put_head(self.inner, state.solve())
        self.state, self.rows = state, rows

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
        """Return ridge scores, (positions, classes)."""
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

    def copy(self) -> Self:
        """Return an independent copy: sums and lists are replaced, never changed."""
        return replace(self, inner=self.inner.copy())

    def fresh(self, seed: int) -> Self:
        """Return the network with newly drawn weights, which holds no row."""
        inner = self.inner.fresh(seed)
        return replace(
            self, inner=inner, state=replace(self.state, gram=0 * self.state.gram, cross=0 * self.state.cross, rows=0),
            rows={}, backbone="random",
        )  # fmt: skip

    def save(self, directory: Path) -> None:
        """Write the network's directory under `network`, the sums beside it, and `expunge.json`."""
        from safetensors.numpy import save_file

        self.inner.save(directory / "network")
        sums = {
            "gram": self.state.gram,
            "cross": self.state.cross,
            "rows": write_tags(self.rows),
        }
        save_file({name: np.ascontiguousarray(value) for name, value in sums.items()}, directory / FILE)
        facts = {"kind": KIND, "ridge": self.state.ridge, "scale": self.scale, "backbone": self.backbone}
        facts["roundings"] = self.state.roundings
        (directory / "expunge.json").write_text(json.dumps(facts, indent=1))

    @classmethod
    def opened(cls, inner: Model, directory: Path, facts: Mapping[str, Any]) -> AnalyticModel:
        """Return what `save` wrote, around the network that was loaded from it."""
        from safetensors.numpy import load_file

        sums = load_file(directory / FILE)
        rows = read_tags(sums["rows"])
        state = AnalyticRidge(sums["gram"], sums["cross"], float(facts["ridge"]), len(rows), int(facts["roundings"]))
        return cls(inner, state, rows, float(facts["scale"]), str(facts["backbone"]))


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


def _stacked(entries: Mapping[str, Entry], state: AnalyticRidge) -> tuple[Matrix, Matrix]:
    x = np.stack([x for x, _, _ in entries.values()])
    return x, np.stack([y for _, y, _ in entries.values()]).reshape(len(x), state.cross.shape[1])


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
