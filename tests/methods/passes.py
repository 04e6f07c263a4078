"""What a method costs, without noise: rows that go forward through a model, and rows that gradients come back for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from expunge.contract.model import Model


@dataclass
class Passes:
    """Rows counted; a product with the curvature is one forward and two backward passes over its rows."""

    forward: int = 0
    backward: int = 0

    @property
    def both(self) -> int:
        """Forward and backward together."""
        return self.forward + self.backward


@contextmanager
def counted(model: Model) -> Iterator[Passes]:
    """Count what goes through a model and the copies made of it inside."""
    found = Passes()

    counting = True

    def after(module: Any, given: Any, output: Tensor) -> None:
        if not counting:  # a copy keeps the hook
            return
        found.forward += len(output)
        if output.requires_grad:
            output.register_hook(back)

    def back(gradient: Tensor) -> None:
        found.backward += len(gradient)

    handle = model.module.register_forward_hook(after)
    try:
        yield found
    finally:
        counting = False
        handle.remove()
