"""Image classifiers: images in, one label out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from expunge.facts.errors import InputError
from expunge.modalities.array_tasks import Classification
from expunge.modalities.arrays import ArrayModel, refuse_not_finite
from expunge.modalities.directory import Architecture, fields_of, read_description, read_weights
from expunge.modalities.vision_networks import NETWORKS


@dataclass(frozen=True, kw_only=True)
class Images:
    """Images of one size: (H, W) or (C, H, W); uint8 is divided by 255, floats are taken as they are.

    Then (x - mean) / std, one number or one a channel. `mean` and `std` are given, not taken from rows: computed from
    training rows they would be an artefact that saw the forget rows.
    """

    modality: ClassVar[str] = "vision"
    field: ClassVar[str] = "image"
    shape: tuple[int, int, int]
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, self.shape[0]):
                raise InputError(
                    f"{name} has {len(values)} numbers for {self.shape[0]} channels", do="give 1 or one each"
                )
            if not all(math.isfinite(value) for value in values) or (name == "std" and min(values) <= 0):
                raise InputError(f"images cannot be normalised by {name} {values}")

    def _ready(self, images: np.ndarray, row_id: str) -> np.ndarray:
        """Return images of one kind, (n, H, W) or (n, C, H, W), as float32 (n, C, H, W); `row_id` is the first one's."""
        if images.dtype == np.uint8:
            images = np.divide(images, np.float32(255), dtype=np.float32)
        elif images.dtype.kind != "f":
            raise InputError(f"row {row_id!r}: the image is {images.dtype}", do="give uint8 (0..255) or floats")
        images = images[:, None] if images.ndim == 3 else images
        if images.shape[1:] != self.shape:
            turned = images.ndim == 4 and images.transpose(0, 3, 1, 2).shape[1:] == self.shape
            raise InputError(
                f"row {row_id!r}: the image is {images.shape[1:]}, the model reads {self.shape}",
                causes=("its channels stand last",) if turned else (),
                do="give (H, W) or (C, H, W)",
            )
        return images.astype(np.float32, copy=False)

    def read(self, arrays: Sequence[Any], ids: Sequence[str]) -> Tensor:
        """Return normalised images, (examples, C, H, W)."""
        given = [np.asarray(image) for image in arrays]
        alike = len({(image.dtype, image.shape) for image in given}) == 1
        parts = [np.stack(given)] if alike else [image[None] for image in given]
        ready = [self._ready(*pair) for pair in zip(parts, ids, strict=False)]
        found = torch.from_numpy(ready[0] if alike else np.concatenate(ready))
        refuse_not_finite(found, ids, self.field)
        return (found - torch.tensor(self.mean).view(-1, 1, 1)) / torch.tensor(self.std).view(-1, 1, 1)

    def restore(self, found: Tensor) -> Tensor:
        """Return normalised images on the scale of the rows (uint8 as 0..1)."""
        mean, std = (torch.tensor(given, device=found.device).view(-1, 1, 1) for given in (self.mean, self.std))
        return found * std + mean

    def describe(self) -> dict[str, Any]:
        """Return what `expunge.json` keeps."""
        return {"shape": list(self.shape), "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def described(cls, found: dict[str, Any]) -> Images:
        """Return the reader that `describe` described."""
        return cls(shape=tuple(found["shape"]), mean=tuple(found["mean"]), std=tuple(found["std"]))


def vision_model(
    network: str,
    *,
    images: Images,
    classes: int,
    seed: int = 0,
    **arguments: Any,
) -> ArrayModel:
    """Return a new image classifier: `network` is cnn, resnet, vit or mlp, `arguments` its own (width, depth...)."""
    architecture, task = Architecture(network, arguments, NETWORKS), Classification(classes=classes)
    return ArrayModel(architecture.build(images.shape, task.outputs, seed=seed), architecture, images, task)


def load_vision(directory: Path, *, dtype: str = "float32", device: str = "cpu") -> ArrayModel:
    """Load what `save` wrote."""
    names = ("network", "arguments", "input", "task")
    network, arguments, given, task = fields_of(read_description(directory), "vision", names)
    model = vision_model(network, images=Images.described(given), classes=task["classes"], **arguments)
    read_weights(directory, model.module)
    model.module.to(device=device, dtype=getattr(torch, dtype))
    return model
