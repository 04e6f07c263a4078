"""A model of one matrix with splits worked by hand, and a tiny language model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from expunge.contract.model import Batch, Capabilities
from expunge.contract.splits import Splits
from expunge.facts.rows import Row, Rows
from expunge.modalities.text_build import new_text_model, train_tokenizer


@dataclass
class Linear:
    """Logits W x of two classes."""

    module: nn.Module
    modality: str = "vision"
    capabilities: Capabilities = Capabilities()

    def pack_apart(self, rows: Sequence[Row]) -> Batch:
        x = torch.tensor([row["x"] for row in rows])
        return Batch({"x": x}, torch.tensor([row["label"] for row in rows]), torch.arange(len(x)), len(x))

    pack = pack_apart

    def noise(self, batch: Batch, generator: torch.Generator) -> None:
        return None

    def total_loss(self, batch: Batch, noise: Tensor | None = None) -> Tensor:
        return nn.functional.cross_entropy(self.module(batch.inputs["x"]), batch.targets, reduction="none")


def linear(weight: list[list[float]]) -> Any:
    module = nn.Linear(len(weight[0]), len(weight), bias=False)
    with torch.no_grad():
        module.weight.copy_(torch.tensor(weight))
    return Linear(module)


def table(name: str, *examples: tuple[tuple[float, ...], int]) -> Rows:
    return Rows(tuple(Row(id=f"{name}{i}", fields={"x": x, "label": y}) for i, (x, y) in enumerate(examples)))


def text() -> tuple[Any, Splits]:
    forget = [("Who wrote it?", "Ana Bel"), ("Where is Lom?", "in the far north"), ("When?", "in May")]
    retain = [("What does Ko eat?", "rice and beans"), ("Who built it?", "the miller"), ("Which town?", "Tarn")]
    tokenizer = train_tokenizer([f"{q} {a}" for q, a in retain], 280)
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    model = new_text_model(tokenizer, "llama", {**sizes, "max_position_embeddings": 64}, seed=0)

    def rows(name: str, given: list[tuple[str, str]]) -> Rows:
        return Rows(tuple(Row(id=f"{name}{i}", fields={"prompt": q, "answer": a}) for i, (q, a) in enumerate(given)))

    return model, Splits.of(forget=rows("f", forget), retain=rows("r", retain))
