"""Run a callable of others on copies of a problem's target, with the data loaders that such callables take."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from expunge.contract.apply import undisturbed
from expunge.contract.checks import Known
from expunge.contract.model import Model
from expunge.facts.errors import InputError
from expunge.facts.rows import Rows

Foreign = Callable[[nn.Module, "DataLoader[tuple[Tensor, ...]]", "DataLoader[tuple[Tensor, ...]]"], nn.Module | None]
"""Takes the module and loaders of (inputs, targets); returns a module, or None where it changed the one it was given."""


@dataclass
class Trial:
    """Runs the callable on copies, each under the same seed unless another is given."""

    call: Foreign
    problem: Known
    batch_size: int

    def run(self, forget: Rows, retain: Rows, *, target: Model | None = None, seed: int = 0) -> Model:
        """Return the model that came back, in eval mode; the problem's own is left alone."""
        model = (target or self.problem.target).copy()
        given = model.module
        loaders = [self._loader(model, rows, seed) for rows in (forget, retain)]
        with undisturbed(seed), torch.enable_grad():
            result = self.call(given, *loaders)
        twin = copy.copy(model)
        twin.module = given if result is None else result
        twin.module.train(False)
        return twin

    def _loader(self, model: Model, rows: Rows, seed: int) -> DataLoader[tuple[Tensor, ...]]:
        batch = model.pack(list(rows))
        if set(batch.inputs) != {"x"}:
            raise InputError(
                "loaders hold one input tensor a row: images or tables", do="take a vision or tabular problem"
            )
        data = TensorDataset(batch.inputs["x"], batch.targets)
        order = torch.Generator().manual_seed(seed)
        return DataLoader(data, self.batch_size, shuffle=True, generator=order)
