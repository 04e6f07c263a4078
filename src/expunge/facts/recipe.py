"""How a model is trained: enough to train it again without the forget set."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Recipe(BaseModel):
    """Training settings; with the architecture (kept by the model itself) and rows, it fixes a training run.

    The order of rows in each epoch keys on (seed, epoch, row id), so that leaving rows out does not reshuffle the rest.
    `stop_loss` ends training when an epoch's mean loss (nats a scored position) falls below it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(default=10, ge=1)
    lr: float = Field(default=1e-3, gt=0)
    batch_size: int = Field(default=32, ge=1)
    weight_decay: float = Field(default=0.0, ge=0)
    warmup: float = Field(default=0.05, ge=0, lt=1)
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    optimiser: Literal["adamw", "sgd"] = "adamw"
    momentum: float = 0.9
    clip: float | None = 1.0
    stop_loss: float | None = None
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of matrix products while training; weights, losses and updates are in float32."""
    seed: int = 0
    artefacts: tuple[str, ...] = ()
    """What saw the forget rows and is kept when training again (tokenizer, scaler, backbone): limits `exact`."""
