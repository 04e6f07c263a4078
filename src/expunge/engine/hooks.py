"""Read the output of a named module, running no deeper than it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn


class _Reached(Exception):
    """Ends a forward pass once the wanted module has run."""


def output_at(root: nn.Module, name: str, forward: Callable[[], Any]) -> Tensor:
    """Return the output of the module called `name` during `forward`, which is left as soon as it is known.

    Where a module returns a tuple (attention, some blocks), its first element is the hidden state.
    """
    found: list[Tensor] = []

    def keep(_: nn.Module, __: Any, output: Any) -> None:
        found.append(output[0] if isinstance(output, tuple) else output)
        raise _Reached

    handle = root.get_submodule(name).register_forward_hook(keep)
    try:
        forward()
    except _Reached:
        return found[0]
    finally:
        handle.remove()
    raise ValueError(f"the forward pass never ran {name!r}")


def outputs_of(root: nn.Module, names: Sequence[str], forward: Callable[[], Any]) -> dict[str, Tensor]:
    """Return the outputs of the modules called `names`, all from one whole `forward`; a tuple's first element is the hidden state."""
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(_: nn.Module, __: Any, output: Any) -> None:
            found[name] = output[0] if isinstance(output, tuple) else output

        return hook

    handles = [root.get_submodule(name).register_forward_hook(keep(name)) for name in names]
    try:
        forward()
    finally:
        for handle in handles:
            handle.remove()
    missing = [name for name in names if name not in found]
    if missing:
        raise ValueError(f"the forward pass never ran {missing[0]!r}")
    return found
