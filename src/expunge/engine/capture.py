"""Run one forward and one backward pass and keep what per-example gradients are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from expunge.contract.model import Batch
from expunge.engine.ghost import Use, Written
from expunge.engine.layers import Grouping, Reader, reader_of

Uses = dict[str, list[Use]]


class Unsupported(Exception):
    """Says which module's per-example gradients cannot be read in one pass, and why."""


@dataclass(frozen=True)
class Pass:
    """Every parameter's uses in one pass.

    `layout` says of each captured call how its first dimension counts: by "example", by scored "position", or both where the
    two coincide. `eps` is the coarsest rounding among the gradients.
    """

    uses: Uses
    layout: tuple[frozenset[str], ...]
    eps: float


@dataclass
class Capture:
    """What a forward pass leaves behind; `stand_ins` are the modules whose parameters copies stand in for."""

    batch: Batch
    stand_ins: list[str] = field(default_factory=list)
    layout: list[frozenset[str]] = field(default_factory=list)
    nodes: list[tuple[GradientEdge | Tensor, Callable[[Tensor], dict[str, Use]]]] = field(default_factory=list)

    def grouping(self, first: int, where: str) -> Grouping:
        """Return whose the entries of a first dimension are; raises where their number is neither examples nor positions."""
        batch = self.batch
        kinds = frozenset(name for name, n in (("example", batch.size), ("position", len(batch.owner))) if n == first)
        if not kinds:
            raise Unsupported(f"{where} sees {first} entries, and there are {batch.size} examples")
        self.layout.append(kinds)
        return Grouping(batch.size, None if "example" in kinds else batch.owner)

    def read(self, losses: Tensor) -> Pass:
        """Return every parameter's uses from one backward pass, which computes no parameter's own gradient."""
        uses: Uses = {}
        eps = 0.0
        inputs: list[Any] = [at for at, _ in self.nodes]
        values = torch.autograd.grad(losses.sum(), inputs, allow_unused=True)
        for (_, read), value in zip(self.nodes, values, strict=True):
            if value is not None:
                eps = max(eps, torch.finfo(value.dtype).eps)
                for name, use in read(value.to(torch.promote_types(value.dtype, torch.float32))).items():
                    uses.setdefault(name, []).append(use)
        return Pass(uses, tuple(self.layout), eps)


def _tensor(args: tuple[Any, ...], kwargs: dict[str, Any], where: str) -> Tensor:
    x = args[0] if args else next(iter(kwargs.values()), None)
    if not isinstance(x, Tensor) or x.ndim == 0:
        raise Unsupported(f"{where} is not called with a tensor")
    return x.detach()


def _read(module: nn.Module, names: dict[str, str], capture: Capture, reader: Reader, where: str) -> Any:
    """Keep a known layer's input and the place of its output in the graph (before anything changes it in place)."""

    def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor) -> None:
        if not output.requires_grad:
            return
        x = _tensor(args, kwargs, where)
        grouping = capture.grouping(x.shape[0], where)

        def read(gradient: Tensor) -> dict[str, Use]:
            seen = x if not x.is_floating_point() else x.to(gradient.dtype)
            return {names[own]: use for own, use in reader(module, seen, gradient, grouping).items() if own in names}

        capture.nodes.append((get_gradient_edge(output), read))

    return module.register_forward_hook(hook, with_kwargs=True)


def _scaled(module: nn.Module, own: str, name: str, capture: Capture, where: str) -> list[Any]:
    """Give a module with one vector (an RMSNorm of any kind) a copy of it for each example, for the time of each call."""
    kept = module._parameters[own]
    assert kept is not None

    def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        x = _tensor(args, kwargs, where)
        grouping = capture.grouping(x.shape[0], where)
        copies = kept.detach().expand(x.shape[0], *(1,) * (x.ndim - 2), len(kept)).requires_grad_()
        module._parameters[own] = copies  # type: ignore[assignment]
        capture.nodes.append((copies, lambda g: {name: Written(grouping.total(g.reshape(len(g), -1)))}))

    def after(_: nn.Module, __: Any, ___: Any) -> None:
        module._parameters[own] = kept

    return [module.register_forward_pre_hook(before, with_kwargs=True), module.register_forward_hook(after)]


def _bare(module: nn.Module, own: str, name: str, capture: Capture) -> None:
    """Give a parameter that no layer owns (positions, class token) a copy for each example along its first dimension."""
    kept = module._parameters[own]
    assert kept is not None
    lead = kept.detach() if kept.ndim and kept.shape[0] == 1 else kept.detach().unsqueeze(0)
    copies = lead.expand(capture.batch.size, *lead.shape[1:]).requires_grad_()
    module._parameters[own] = copies  # type: ignore[assignment]
    capture.nodes.append((copies, lambda g: {name: Written(g.reshape(len(g), *kept.shape))}))


@contextmanager
def captured(root: nn.Module, batch: Batch) -> Iterator[Capture]:
    """Watch every module that owns a trainable parameter while the caller runs the forward pass inside.

    Known layers are read from their input and output gradient; the vector of an RMSNorm-like module and bare parameters stand in
    as one copy an example, so that autograd itself returns their per-example gradients. What is not known as one of these is
    tried as a bare parameter: the caller compares with plain autograd. Everything is put back on leaving.
    """
    capture, handles = Capture(batch), []
    named = {id(parameter): name for name, parameter in root.named_parameters() if parameter.requires_grad}
    replaced: list[tuple[nn.Module, str, nn.Parameter]] = []
    try:
        for path, module in root.named_modules():
            own = {key: named[id(p)] for key, p in module._parameters.items() if id(p) in named}
            if not own:
                continue
            where = f"{type(module).__name__} {path!r}"
            reader, reason = reader_of(module)
            if reason:
                raise Unsupported(f"{where}: {reason}")
            if reader is not None:
                handles.append(_read(module, own, capture, reader, where))
                continue
            for key in own:
                parameter = module._parameters[key]
                assert parameter is not None
                replaced.append((module, key, parameter))
            capture.stand_ins.append(where)
            if len(own) == 1 and parameter.ndim == 1 and not list(module.children()):
                handles.extend(_scaled(module, key, own[key], capture, where))
            else:
                for key, name in own.items():
                    _bare(module, key, name, capture)
        yield capture
    finally:
        for handle in handles:
            handle.remove()
        for module, key, parameter in replaced:
            module._parameters[key] = parameter
