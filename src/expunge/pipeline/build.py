"""Make the models of a plan: the untrained one, the target, the retrained ones, and prepared targets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from expunge.contract.model import Model
from expunge.facts.errors import InputError, nearest
from expunge.facts.rows import Rows
from expunge.pipeline.loading import quieten
from expunge.pipeline.plan import ModelPlan
from expunge.pipeline.targets import classes_of, task_of

TEXT = ("llama", "gpt2", "gpt_neox", "qwen2", "qwen3", "mistral")
VISION = ("cnn", "resnet", "vit", "mlp")
TABULAR = ("mlp",)


def modality_built(architecture: str, rows: Mapping[str, Rows]) -> str:
    """Return the modality of an architecture that a plan may name; an MLP reads images or tables, whichever the rows are."""
    images = any(row.get("image") is not None for split in rows.values() for row in split[:1])
    for modality, known in (("text", TEXT), ("vision", VISION), ("tabular", TABULAR)):
        if architecture in known and (images or modality != "vision" or architecture not in TABULAR):
            return modality
    every = dict.fromkeys((*TEXT, *VISION, *TABULAR))
    raise InputError(
        f"there is no architecture {architecture!r}; the nearest is {nearest(architecture, tuple(every))!r}",
        do=f"use one of: {', '.join(every)}",
    )


def texts_of(rows: Rows) -> Iterable[str]:
    """Yield the prompts and answers of rows."""
    for row in rows:
        yield f"{row.get('prompt') or ''} {row.get('answer') or ''}"


def public_text(plan: ModelPlan, base: Path) -> list[Path]:
    """Return the public-domain texts that the tokenizer may be trained on as well; a missing file is refused."""
    paths = [base / path for path in plan.settings.get("public_text", ())]
    for path in paths:
        if not path.is_file():
            raise InputError(f"there is no public text {path}", do="mend model.settings.public_text in the plan")
    return paths


def untrained(plan: ModelPlan, rows: Mapping[str, Rows], seed: int, base: Path | None = None) -> Model:
    """Return a new model for a plan's architecture; a tokenizer is trained on retain rows (and public text), never on forget rows."""
    architecture = plan.architecture or ""
    modality = modality_built(architecture, rows)
    settings = {name: value for name, value in plan.settings.items() if name != "public_text"}
    if modality == "text":
        from expunge.modalities.text_build import new_text_model, train_tokenizer

        quieten()
        vocabulary = int(settings.pop("vocabulary", 2048))
        public = [path.read_text(encoding="utf-8") for path in public_text(plan, base or Path())]
        tokenizer = train_tokenizer([*texts_of(rows["retain"]), *public], vocabulary)
        return new_text_model(tokenizer, architecture, settings, seed=seed)
    if modality == "vision":
        from expunge.modalities.vision import Images, vision_model

        shape = np.asarray(rows["retain"][0]["image"]).shape
        images = Images(shape=(1, *shape) if len(shape) == 2 else shape)
        return vision_model(architecture, images=images, classes=classes_of(rows), seed=seed, **settings)
    return _table_model(architecture, settings, rows, seed)


def _table_model(architecture: str, settings: dict[str, Any], rows: Mapping[str, Rows], seed: int) -> Model:
    """Return a new classifier or regressor; every row of every split is read once first, so that a bad one is refused before training."""
    from expunge.modalities.tabular import Features, tabular_model

    features, task = Features(width=np.size(rows["retain"][0]["features"])), task_of(rows, settings)
    for split in rows.values():
        if len(split):
            features.read([row["features"] for row in split], split.ids)
    own = {name: value for name, value in settings.items() if name not in ("task", "mean", "std")}
    return tabular_model(architecture, features=features, task=task, seed=seed, **own)
