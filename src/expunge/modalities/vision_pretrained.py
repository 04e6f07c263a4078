"""Image classifiers of a local Hugging Face directory: safetensors only, never code or pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from expunge.contract.model import Batch, Sites
from expunge.facts.errors import InputError
from expunge.modalities.array_tasks import Classification
from expunge.modalities.arrays import ArrayModel
from expunge.modalities.directory import Architecture
from expunge.modalities.module_parts import ATTENTION, FEED_FORWARD, equal_lists, parts_named
from expunge.modalities.pretrained import read_pretrained, reading
from expunge.modalities.vision import Images

PREPROCESSOR = "preprocessor_config.json"
BYTE = 1 / 255
EAGER = "eager"
"""Attention written out: the fused kernels have no derivative of a derivative."""


@dataclass
class PretrainedVision(ArrayModel):
    """An image classifier of the transformers library; `preprocessor` says how pictures became its input.

    Rows hold pictures of the size that the network reads: cutting and scaling are left to whoever made the training set. Networks with
    running statistics (BatchNorm) are refused, for what they keep of the rows (see `ArrayModel`).
    """

    preprocessor: Mapping[str, Any] = field(default_factory=dict)

    def outputs(self, batch: Batch) -> Tensor:
        """Return logits, (examples, classes)."""
        found: Tensor = self.module(pixel_values=batch.inputs["x"]).logits
        return found

    def sites(self) -> Sites:
        """Return the blocks (the outermost ModuleList of equal parts: layers, or stages of them), and the parts in and around them."""
        lists = equal_lists(self.module)
        prefix, blocks = min(lists, key=lambda item: item[0].count("."), default=("", nn.ModuleList()))
        names = [name for name, _ in self.module.named_modules() if name.endswith(("embeddings", "embedder"))]
        return Sites(
            blocks=tuple(f"{prefix}.{i}" for i in range(len(blocks))),
            attention=parts_named(prefix, blocks, ATTENTION),
            feed_forward=parts_named(prefix, blocks, FEED_FORWARD),
            embedding=tuple(names[:1]),
            head=([name for name, _ in self.module.named_children()][-1],),
        )

    def fresh(self, seed: int) -> Self:
        """Return the same architecture with every weight drawn anew under `seed`."""
        from transformers import AutoModelForImageClassification

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = AutoModelForImageClassification.from_config(self.module.config, attn_implementation=EAGER)
        return self.around(module.eval().to(next(self.module.parameters())))

    def save(self, directory: Path) -> None:
        """Write a Hugging Face directory: config.json, model.safetensors and preprocessor_config.json."""
        directory = Path(directory)
        self.module.save_pretrained(directory)  # type: ignore[operator]
        text = json.dumps(dict(self.preprocessor), indent=2, sort_keys=True)
        (directory / PREPROCESSOR).write_text(text + "\n", encoding="utf-8")


def load_pretrained_vision(directory: Path, *, dtype: str = "float32", device: str = "cpu") -> PretrainedVision:
    """Load what `save_pretrained` wrote of a `...ForImageClassification` and of its image processor."""
    from transformers import AutoModelForImageClassification

    module = read_pretrained(AutoModelForImageClassification, directory, dtype, attn_implementation=EAGER)
    kept = [name for name, _ in module.named_buffers() if name.rpartition(".")[2] in ("running_mean", "running_var")]
    if kept:
        raise InputError(
            f"{directory} holds running statistics ({kept[0]})",
            causes=("they are an average over the training rows, which no removal of this tool reaches",),
            do="use a network with LayerNorm or GroupNorm (ViT, Swin, ConvNeXt)",
        )
    if module.config.problem_type not in (None, "single_label_classification"):
        raise InputError(
            f"{directory} was trained for {module.config.problem_type}; here a picture has one label of several",
            do="use a classifier whose classes exclude each other",
        )
    preprocessor = _preprocessor(directory)
    images = _images(directory, preprocessor, module.config)
    module.eval().to(device)
    task = Classification(classes=int(module.config.num_labels))
    architecture = Architecture(str(module.config.model_type), {}, {})
    model = PretrainedVision(module, architecture, images, task, preprocessor=preprocessor)
    with reading(directory, f"network, given one picture of {images.shape},"), torch.no_grad():
        module(pixel_values=torch.zeros(1, *images.shape).to(next(module.parameters())))
    return model


def _preprocessor(directory: Path) -> dict[str, Any]:
    path = directory / PREPROCESSOR
    if not path.is_file():
        raise InputError(
            f"{directory} has no {PREPROCESSOR}: how its pictures were normalised is not known",
            do="save it beside the weights: processor.save_pretrained(DIR)",
        )
    with reading(directory, PREPROCESSOR):
        return dict(json.loads(path.read_text(encoding="utf-8")))


def _images(directory: Path, given: Mapping[str, Any], config: Any) -> Images:
    """Return how pictures become the network's input."""
    factor = given.get("rescale_factor", BYTE) if given.get("do_rescale", True) else 1.0
    if abs(factor - BYTE) > 1e-9:
        raise InputError(
            f"{directory / PREPROCESSOR} scales pictures by {factor}; here bytes are divided by 255",
            do="save the model with a processor that does",
        )
    channels = int(getattr(config, "num_channels", 3))
    sides = _sides(given, config)
    if sides is None:
        raise InputError(f"{directory / PREPROCESSOR} does not say how large pictures are", do="give it a size")
    if not given.get("do_normalize", True):
        return Images(shape=(channels, *sides))
    if not given.get("image_mean") or not given.get("image_std"):
        raise InputError(
            f"{directory / PREPROCESSOR} has no image_mean and image_std", do="give both, or do_normalize false"
        )
    mean, std = (tuple(map(float, given[name])) for name in ("image_mean", "image_std"))
    return Images(shape=(channels, *sides), mean=mean, std=std)


def _sides(given: Mapping[str, Any], config: Any) -> tuple[int, int] | None:
    """Return height and width of what the network reads: the cut, else the size, else what the architecture was made for."""
    for wanted in (
        given.get("crop_size") if given.get("do_center_crop") else None,
        given.get("size"),
        getattr(config, "image_size", None),
    ):
        if isinstance(wanted, Mapping):
            height, width = (wanted.get(side, wanted.get("shortest_edge")) for side in ("height", "width"))
            if height and width:
                return int(height), int(width)
        elif isinstance(wanted, (list, tuple)) and len(wanted) == 2:
            return int(wanted[0]), int(wanted[1])
        elif isinstance(wanted, int):
            return wanted, wanted
    return None
