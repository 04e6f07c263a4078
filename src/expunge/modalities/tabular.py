"""Table models: a float vector in, one label or one number out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from expunge.facts.errors import InputError
from expunge.modalities.array_tasks import Classification, Regression
from expunge.modalities.arrays import ArrayModel, refuse_not_finite
from expunge.modalities.directory import Architecture, fields_of, read_description, read_weights
from expunge.modalities.layers import MLP


@dataclass(frozen=True, kw_only=True)
class Features:
    """Vectors of `width` finite numbers, taken as they are: a scaler is the source's, and an artefact if it saw rows."""

    modality: ClassVar[str] = "tabular"
    field: ClassVar[str] = "features"
    width: int

    @property
    def shape(self) -> tuple[int]:
        """Shape of one example."""
        return (self.width,)

    def read(self, arrays: Sequence[Any], ids: Sequence[str]) -> Tensor:
        """Return vectors, (examples, width)."""
        found = []
        for given, row_id in zip(arrays, ids, strict=True):
            try:
                vector = np.asarray(given, dtype=np.float32)
            except (TypeError, ValueError) as error:
                raise InputError(
                    f"row {row_id!r}: the features are no numbers: {error}", do="give a list of numbers"
                ) from error
            if vector.shape != self.shape:
                raise InputError(
                    f"row {row_id!r} has features {vector.shape}, the model reads {self.shape}",
                    do="give the columns that the model was trained on",
                )
            found.append(vector)
        stacked = torch.from_numpy(np.stack(found))
        refuse_not_finite(stacked, ids, self.field)
        return stacked

    def describe(self) -> dict[str, Any]:
        """Return what `expunge.json` keeps."""
        return {"width": self.width}


NETWORKS: Mapping[str, Callable[..., nn.Module]] = {"mlp": MLP}


def tabular_model(
    network: str, *, features: Features, task: Classification | Regression, seed: int = 0, **arguments: Any
) -> ArrayModel:
    """Return a new classifier or regressor: `network` is mlp, `arguments` its own (width, depth)."""
    architecture = Architecture(network, arguments, NETWORKS)
    return ArrayModel(architecture.build(features.shape, task.outputs, seed=seed), architecture, features, task)


def load_tabular(directory: Path, *, dtype: str = "float32", device: str = "cpu") -> ArrayModel:
    """Load what `save` wrote."""
    names = ("network", "arguments", "input", "task")
    network, arguments, given, task = fields_of(read_description(directory), "tabular", names)
    kind = Classification if "classes" in task else Regression
    model = tabular_model(network, features=Features(**given), task=kind(**task), **arguments)
    read_weights(directory, model.module)
    model.module.to(device=device, dtype=getattr(torch, dtype))
    return model
