"""A model directory to an adapter: which modality it is, is read from the directory itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expunge.contract.model import Model
from expunge.facts.errors import InputError
from expunge.pipeline.processes import spread

DESCRIPTION = "expunge.json"
INSIDE = {"ensemble": "member-0", "analytic": "network", "certified": "network"}
"""Where a directory of each kind that holds more than one model has a plain one."""


@dataclass(frozen=True)
class Placement:
    """Where and how a model is held."""

    device: str = "cpu"
    dtype: str = "float32"
    threads: int = 0
    gradient_checkpointing: bool = False
    template: str = ""
    """Of text, `{prompt}` where the question goes; empty takes what the model directory says."""


def modality_of(directory: Path) -> str:
    """Return `vision` or `text` for a Hugging Face directory (an image classifier, or anything else), else what `expunge.json` says."""
    if not directory.is_dir():
        raise InputError(
            f"there is no model directory {directory}", do="give the path of a directory with safetensors weights"
        )
    kept = _kept_facts(directory)
    if kept:
        return modality_of(directory / INSIDE[kept["kind"]])
    if (directory / DESCRIPTION).is_file():
        from expunge.modalities.directory import read_description

        return str(read_description(directory).get("modality"))
    if (directory / "config.json").is_file() or (directory / "adapter_config.json").is_file():
        return "vision" if _classifies_images(directory) else "text"
    raise InputError(
        f"{directory} is not a model directory: it has neither config.json nor expunge.json",
        do="give a Hugging Face directory, or one that expunge saved",
    )


def _classifies_images(directory: Path) -> bool:
    """Say whether the directory's config names an image classifier; what cannot be read is left to the reader of texts, which says why."""
    try:
        config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    named = config.get("architectures") if isinstance(config, dict) else None
    return any(str(name).endswith("ForImageClassification") for name in named or ())


def _kept_facts(directory: Path) -> dict[str, Any]:
    """Return what `expunge.json` says of a model that keeps what it forgets from, or nothing where it describes a plain one."""
    path = directory / DESCRIPTION
    if not path.is_file():
        return {}
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is no JSON: {error}", do="save the model again") from error
    return dict(facts) if isinstance(facts, dict) and facts.get("kind") in INSIDE else {}


def _keeping(directory: Path, placement: Placement, facts: dict[str, Any]) -> Model:
    """Return an ensemble, or a network with an analytic or certified head, with all that a later request forgets from."""
    if facts["kind"] == "analytic":
        from expunge.engine.analytic import AnalyticModel

        return AnalyticModel.opened(load_model(directory / INSIDE["analytic"], placement), directory, facts)
    if facts["kind"] == "certified":
        from expunge.engine.certified import CertifiedModel

        return CertifiedModel.opened(load_model(directory / INSIDE["certified"], placement), directory, facts)
    from expunge.engine.ensembles import Ensemble

    members = [load_model(directory / f"member-{shard}", placement) for shard in range(int(facts["shards"]))]
    return Ensemble.opened(members, directory, facts, placement.device)


def check_directory(directory: Path) -> str:
    """Return the modality of a model directory; refuse pickled, missing, cut off or not finite weights before a model is built.

    Reads one tensor at a time. Pickled weights run code when they are loaded: they are named, never opened.
    """
    from expunge.modalities.pretrained import check_safetensors

    modality = modality_of(directory)
    check_safetensors(directory, "**/*.safetensors")
    for path in sorted(directory.rglob("*.safetensors")):
        _check_finite(path)
    return modality


def _check_finite(path: Path) -> None:
    import torch
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118
                tensor = opened.get_tensor(name)
                if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                    raise InputError(
                        f"{path} holds weights that are not finite, the first in {name}", do="use an intact checkpoint"
                    )
    except SafetensorError as error:
        raise InputError(
            f"{path} cannot be read: {error}", causes=("the file is cut off or changed",), do="copy it again"
        ) from error


def load_model(directory: Path, placement: Placement | None = None) -> Model:
    """Load any model directory that Expunge can read."""
    placement = placement or Placement()
    directory = Path(directory)
    modality, kept = modality_of(directory), _kept_facts(directory)
    if kept:
        return _keeping(directory, placement, kept)
    loaders: dict[str, Callable[..., Any]] = {
        "text": _text,
        "vision": _vision,
        "tabular": _tabular,
        "diffusion": _diffusion,
    }
    if modality not in loaders:
        raise InputError(f"{directory} holds a {modality} model, which cannot be loaded from a directory")
    if placement.template and modality != "text":
        raise InputError(f"{directory} holds a {modality} model, which has no template", do="leave --template out")
    model: Model = loaders[modality](directory, placement)
    if placement.gradient_checkpointing:
        enable: Any = getattr(model.module, "gradient_checkpointing_enable", None)
        if enable is None:
            raise InputError("this model has no gradient checkpointing", do="leave --gradient-checkpointing out")
        enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return spread(model)


def quieten() -> None:
    """Stop transformers' own bars (one a load, one a save): progress is `Bars`' to show."""
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()


def _text(directory: Path, placement: Placement) -> Model:
    from expunge.modalities.text import load_text
    from expunge.modalities.text_tokens import Template

    quieten()
    template = Template.of(placement.template) if placement.template else None
    return load_text(directory, template=template, dtype=placement.dtype, device=placement.device)


def _vision(directory: Path, placement: Placement) -> Model:
    if not (directory / DESCRIPTION).is_file():
        from expunge.modalities.vision_pretrained import load_pretrained_vision

        quieten()
        return load_pretrained_vision(directory, dtype=placement.dtype, device=placement.device)
    from expunge.modalities.vision import load_vision

    return load_vision(directory, dtype=placement.dtype, device=placement.device)


def _tabular(directory: Path, placement: Placement) -> Model:
    from expunge.modalities.tabular import load_tabular

    return load_tabular(directory, dtype=placement.dtype, device=placement.device)


def _diffusion(directory: Path, placement: Placement) -> Model:
    from expunge.modalities.diffusion import load_diffusion

    return load_diffusion(directory, dtype=placement.dtype, device=placement.device)
