"""A saved model that is no Hugging Face directory: `model.safetensors` beside `expunge.json`, which says how to build it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from expunge.facts.errors import InputError, nearest

FORMAT = "expunge/model/v1"
WEIGHTS = "model.safetensors"
DESCRIPTION = "expunge.json"


@dataclass(frozen=True)
class Architecture:
    """A network's name and its own arguments, and where its name is looked up: never code from a file."""

    name: str
    arguments: Mapping[str, Any]
    known: Mapping[str, Callable[..., nn.Module]]

    def build(self, *given: Any, seed: int) -> nn.Module:
        """Return the network with weights drawn under `seed`, in eval mode; `given` are what the data fix (shape, outputs).

        Every parameter is drawn by building anew: resetting an old module's direct children, as published code does, leaves
        whatever stands inside a Sequential trained.
        """
        if self.name not in self.known:
            close = nearest(self.name, tuple(self.known))
            raise InputError(
                f"there is no network {self.name!r}; the nearest is {close!r}",
                do=f"use one of: {', '.join(self.known)}",
            )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            try:
                network = self.known[self.name](*given, **self.arguments)
            except (TypeError, ValueError) as error:
                raise InputError(
                    f"network {self.name!r} cannot be built with {dict(self.arguments)}: {error}"
                ) from error
        return network.train(False)


def write_directory(directory: Path, module: nn.Module, description: Mapping[str, Any]) -> None:
    """Write weights and description; equal models give equal bytes."""
    from safetensors.torch import save_file

    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    save_file(tensors, directory / WEIGHTS)
    text = json.dumps({"format": FORMAT, **description}, indent=1, sort_keys=True, allow_nan=False)
    (directory / DESCRIPTION).write_text(text + "\n", encoding="utf-8")


def read_description(directory: Path) -> dict[str, Any]:
    """Return what `expunge.json` says; its `modality` tells which adapter loads the directory."""
    path = Path(directory) / DESCRIPTION
    if not path.is_file():
        raise InputError(f"{directory} has no {DESCRIPTION}", causes=("it is not a model directory of this kind",))
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no JSON: {error}", do="save the model again") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise InputError(f"{path} does not say it is {FORMAT}", do="save the model again with this version")
    return {key: value for key, value in found.items() if key != "format"}


def fields_of(description: Mapping[str, Any], modality: str, names: Sequence[str]) -> list[Any]:
    """Return the named fields of a description; a missing or unknown one is an error, and so is another modality."""
    if description.get("modality") != modality:
        raise InputError(f"this is a {description.get('modality')} model, not a {modality} model")
    wrong = sorted(set(description) ^ {"modality", *names})
    if wrong:
        state = "unknown" if wrong[0] in description else "missing"
        raise InputError(f"{DESCRIPTION}: {wrong[0]!r} is {state}", do="save the model again")
    return [description[name] for name in names]


def read_weights(directory: Path, module: nn.Module) -> None:
    """Fill `module` with the directory's weights; names, shapes and finite numbers are checked first.

    Only safetensors are read: pickled weights run code when loaded.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(directory) / WEIGHTS
    if not path.is_file():
        raise InputError(
            f"{directory} has no {WEIGHTS}", causes=("pickled weights run code when loaded and are never read here",)
        )
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise InputError(f"{path} cannot be read: {error}", causes=("the file is cut off or changed",)) from error
    wanted = module.state_dict()
    for name in sorted(set(wanted) ^ set(tensors)):
        raise InputError(f"{path}: {name!r} is {'missing' if name in wanted else 'not part of the architecture'}")
    for name, tensor in tensors.items():
        if tensor.shape != wanted[name].shape:
            raise InputError(f"{path}: {name!r} is {tuple(tensor.shape)}, not {tuple(wanted[name].shape)}")
        if not bool(torch.isfinite(tensor).all()):
            raise InputError(
                f"{directory} holds weights that are not finite, the first in {name}", do="use an intact checkpoint"
            )
    module.load_state_dict(tensors)
