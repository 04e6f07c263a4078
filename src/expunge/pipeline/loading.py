"""A model directory to an adapter: which modality it is, is read from the directory itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expunge.contract.model import Model
from expunge.facts.errors import InputError


@dataclass(frozen=True)
class Placement:
    """Where and how a model is held."""

    device: str = "cpu"
    dtype: str = "float32"
    threads: int = 0
    gradient_checkpointing: bool = False


def modality_of(directory: Path) -> str:
    """Return `text` for a Hugging Face directory (or LoRA adapter), else what `expunge.json` says."""
    if not directory.is_dir():
        raise InputError(
            f"there is no model directory {directory}", do="give the path of a directory with safetensors weights"
        )
    if (directory / "expunge.json").is_file():
        facts = json.loads((directory / "expunge.json").read_text())
        return str(facts.get("modality") or facts.get("kind"))
    if (directory / "config.json").is_file() or (directory / "adapter_config.json").is_file():
        return "text"
    raise InputError(
        f"{directory} is not a model directory: it has neither config.json nor expunge.json",
        do="give a Hugging Face directory, or one that expunge saved",
    )


def load_model(directory: Path, placement: Placement | None = None) -> Model:
    """Load any model directory that Expunge can read."""
    placement = placement or Placement()
    directory = Path(directory)
    modality = modality_of(directory)
    loaders: dict[str, Callable[..., Any]] = {
        "text": _text,
        "vision": _vision,
        "tabular": _tabular,
        "diffusion": _diffusion,
    }
    if modality not in loaders:
        raise InputError(f"{directory} holds a {modality} model, which cannot be loaded from a directory")
    model: Model = loaders[modality](directory, placement)
    if placement.gradient_checkpointing:
        enable: Any = getattr(model.module, "gradient_checkpointing_enable", None)
        if enable is None:
            raise InputError("this model has no gradient checkpointing", do="leave --gradient-checkpointing out")
        enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return model


def _text(directory: Path, placement: Placement) -> Model:
    from expunge.modalities.text import load_text

    return load_text(directory, dtype=placement.dtype, device=placement.device)


def _vision(directory: Path, placement: Placement) -> Model:
    from expunge.modalities.vision import load_vision

    return load_vision(directory, device=placement.device)


def _tabular(directory: Path, placement: Placement) -> Model:
    from expunge.modalities.tabular import load_tabular

    return load_tabular(directory, device=placement.device)


def _diffusion(directory: Path, placement: Placement) -> Model:
    from expunge.modalities.diffusion import load_diffusion

    return load_diffusion(directory, device=placement.device)
