"""A network with an analytic head: a frozen backbone, and the sums from which its linear head is solved."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from expunge.contract.model import Batch, Model
from expunge.engine.solved_head import (
    Entry,
    SolvedHead,
    entries_of,
    head_of,
    leaving,
    one_hot,
    put_head,
    read_tags,
    write_tags,
)
from expunge.facts.errors import InputError
from expunge.facts.rows import Row
from expunge.maths.analytic_ridge import AnalyticRidge, Matrix, on_grid

FILE, KIND = "sums.checkpoint", "analytic"


@dataclass
class AnalyticModel(SolvedHead):
    """A model whose head is the ridge solution over the rows it holds.

    `rows` maps a hash of each row's id to one of the very numbers that were added for it. They go when the row goes; while it
    is in, whoever has this state can tell that it is. Sums over few rows give those rows away: the state is as private as the rows.
    `backbone` says what the frozen layers saw: nothing (random), what the base model saw, or (trained) every row.
    """

    state: AnalyticRidge
    rows: Mapping[str, str]
    scale: float
    backbone: str

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


def _stacked(entries: Mapping[str, Entry], state: AnalyticRidge) -> tuple[Matrix, Matrix]:
    x = np.stack([x for x, _, _ in entries.values()])
    return x, np.stack([y for _, y, _ in entries.values()]).reshape(len(x), state.cross.shape[1])
