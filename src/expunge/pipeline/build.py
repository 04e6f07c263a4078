"""Make the models of a plan: the untrained one, the target, the retrained ones, and prepared targets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from expunge.contract.model import Model
from expunge.facts.errors import InputError
from expunge.facts.rows import Rows
from expunge.pipeline.plan import ModelPlan

TEXT = ("llama", "gpt2", "gpt_neox", "qwen2", "qwen3", "mistral")
VISION = ("cnn", "resnet", "vit")
TABULAR = ("mlp",)


def texts_of(rows: Rows) -> Iterable[str]:
    """Yield the prompts and answers of rows."""
    for row in rows:
        yield f"{row.get('prompt') or ''} {row.get('answer') or ''}"


def untrained(plan: ModelPlan, rows: Mapping[str, Rows], seed: int) -> Model:
    """Return a new model for a plan's architecture; a tokenizer is trained on retain rows (and public text), never on forget rows."""
    architecture = plan.architecture or ""
    settings = dict(plan.settings)
    if architecture in TEXT:
        from expunge.modalities.text_build import new_text_model, train_tokenizer

        vocabulary = int(settings.pop("vocabulary", 2048))
        public = [Path(path).read_text(encoding="utf-8") for path in settings.pop("public_text", ())]
        tokenizer = train_tokenizer([*texts_of(rows["retain"]), *public], vocabulary)
        return new_text_model(tokenizer, architecture, settings, seed=seed)
    if architecture in VISION:
        from expunge.modalities.vision import Images, vision_model

        shape = np.asarray(rows["retain"][0]["image"]).shape
        images = Images(shape=(1, *shape) if len(shape) == 2 else shape)
        return vision_model(architecture, images=images, classes=_classes(rows), seed=seed, **settings)
    if architecture in TABULAR:
        from expunge.modalities.array_tasks import Classification
        from expunge.modalities.tabular import Features, tabular_model

        features = Features(width=len(rows["retain"][0]["features"]))
        return tabular_model(
            architecture, features=features, task=Classification(classes=_classes(rows)), seed=seed, **settings
        )
    known = ", ".join((*TEXT, *VISION, *TABULAR))
    raise InputError(f"there is no architecture {architecture!r}", do=f"use one of: {known}")


def _classes(rows: Mapping[str, Rows]) -> int:
    """Return the number of classes: of every split, so that a forgotten class keeps its output."""
    return 1 + max(int(row["label"]) for split in rows.values() for row in split)
