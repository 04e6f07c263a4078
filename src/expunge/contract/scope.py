"""Optimiser scopes: which parameters may move (full, LoRA, chosen layers)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from expunge.contract.model import Model
from expunge.facts.errors import InputError

LORA_RANK = 8
LORA_ALPHA = 16


def layer_numbers(scope: str, depth: int) -> tuple[int, ...]:
    """Return block numbers of `layers:0-3,7`; negative numbers and numbers past the depth are refused."""
    numbers: list[int] = []
    for part in scope.removeprefix("layers:").split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip())
        if match is None:
            raise InputError(f"the scope {scope!r} names no layers", do="write layers:0-3 or layers:2,5")
        low, high = int(match[1]), int(match[2] or match[1])
        if high >= depth or low > high:
            raise InputError(f"the scope {scope!r} asks for layer {high}, the model has 0..{depth - 1}")
        numbers.extend(range(low, high + 1))
    return tuple(sorted(set(numbers)))


def _names(model: Model, scope: str) -> frozenset[str]:
    names = [name for name, _ in model.module.named_parameters()]
    if scope == "full":
        return frozenset(names)
    blocks = model.sites().blocks
    chosen = tuple(blocks[number] + "." for number in layer_numbers(scope, len(blocks)))
    return frozenset(name for name in names if name.startswith(chosen))


def _linear_names(model: Model) -> list[str]:
    """Linear maps (GPT-2's Conv1D among them) inside the blocks: what LoRA adapts."""
    kinds = {"Linear", "Conv1D"}
    blocks = tuple(name + "." for name in model.sites().blocks)
    found = [
        name
        for name, module in model.module.named_modules()
        if type(module).__name__ in kinds and (not blocks or name.startswith(blocks))
    ]
    if not found:
        raise InputError("LoRA needs linear layers and the model has none", do="use --scope full")
    return found


@contextmanager
def scoped(model: Model, scope: str, *, seed: int) -> Iterator[tuple[frozenset[str], frozenset[str]]]:
    """Make exactly the scope's parameters trainable; yield (names trainable inside, names of base weights that may move).

    For `lora`, rank-8 adapters (alpha 16) are put on every linear map of the blocks and merged into the base weights on
    leaving, so that the model's architecture is the same before and after. Its state of `requires_grad` is put back.
    """
    asked = {name: parameter.requires_grad for name, parameter in model.module.named_parameters()}
    try:
        if scope == "lora":
            yield from _lora(model, seed)
        elif scope == "full" or scope.startswith("layers:"):
            names = _names(model, scope)
            for name, parameter in model.module.named_parameters():
                parameter.requires_grad_(name in names)
            yield names, names
        else:
            raise InputError(f"there is no scope {scope!r}", do="use full, lora or layers:0-3")
    finally:
        for name, parameter in model.module.named_parameters():
            parameter.requires_grad_(asked.get(name, True))


def _lora(model: Model, seed: int) -> Iterator[tuple[frozenset[str], frozenset[str]]]:
    import torch
    from peft import LoraConfig, inject_adapter_in_model
    from peft.tuners.lora import LoraLayer

    targets = _linear_names(model)
    before = {id(parameter) for parameter in model.module.parameters()}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transposed = all(type(model.module.get_submodule(name)).__name__ == "Conv1D" for name in targets)
        config = LoraConfig(r=LORA_RANK, lora_alpha=LORA_ALPHA, target_modules=targets, fan_in_fan_out=transposed)
        inject_adapter_in_model(config, model.module)
    for parameter in model.module.parameters():
        parameter.requires_grad_(id(parameter) not in before)
    inside = frozenset(name for name, parameter in model.module.named_parameters() if parameter.requires_grad)
    try:
        yield inside, frozenset(f"{name}.weight" for name in targets)
    finally:
        for name, layer in list(model.module.named_modules()):
            if isinstance(layer, LoraLayer):
                layer.merge()
                _put(model.module, name, layer.get_base_layer())
        vars(model.module).pop("peft_config", None)


def _put(root: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, leaf = name.rpartition(".")
    setattr(root.get_submodule(parent) if parent else root, leaf, module)
