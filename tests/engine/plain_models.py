"""The least of an adapter, modules of every kind, and per-example gradients by the plainest loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from expunge.contract.model import Batch, Question
from expunge.facts.rows import Row, Rows
from expunge.modalities.text_build import new_text_model, train_tokenizer

TEXTS = (
    ("Who wrote it?", "Ana Bel did"),
    ("Where is the old tower of Lom?", "on a hill in the north of Lom"),
    ("When?", "in May"),
    ("What does Ko eat?", "rice and rice and red beans"),
    ("Who?", "Ko"),
    ("Who built the tower?", "the miller of Lom built the tower alone"),
    ("Which town?", "Lom, in the north"),
)
SIZES = {
    "llama": {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2},
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64},
    "gpt_neox": {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2},
    "qwen2": {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2},
    "qwen3": {
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "head_dim": 8,
    },
}


def text_model(architecture: str, **settings: Any) -> tuple[Any, Rows]:
    rows = Rows(tuple(Row(id=f"r{i}", fields={"prompt": q, "answer": a}) for i, (q, a) in enumerate(TEXTS)))
    tokenizer = train_tokenizer([f"{q} {a}" for q, a in TEXTS], 290)
    sizes = {"max_position_embeddings": 64, **SIZES[architecture], **settings}
    if architecture != "gpt2" and architecture != "gpt_neox":
        sizes.setdefault("num_key_value_heads", 2)
    return shaken(new_text_model(tokenizer, architecture, sizes, seed=0)), rows


def plain_nll(model: Any, rows: Sequence[Row]) -> Tensor:
    """-log p of every scored position of the rows, from one plain forward a row."""
    found = []
    for row in rows:
        code = model.tokens.encode(row["prompt"], row["answer"])
        ids = torch.tensor([code.ids])
        logits = model.module(input_ids=ids).logits[0, code.first - 1 : -1]
        found.append(nn.functional.cross_entropy(logits, ids[0, code.first :], reduction="none"))
    return torch.cat(found)


def shaken(model: Any) -> Any:
    """Move every weight a little: norms that start at one and biases at zero would hide errors in them."""
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.module.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=draw))
    return model


@dataclass
class Arrays:
    """An adapter of arrays to classes around any module."""

    module: nn.Module
    modality: str = "vision"
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    packs: list[int] = field(default_factory=list)
    noisy: bool = False

    def questions(self, rows: Sequence[Row]) -> list[Question]:
        return [Question(row.id, None, {"label": row["y"]}) for row in rows]

    def question_cost(self, question: Question) -> int:
        return 1

    def pack_apart(self, rows: Sequence[Row]) -> Batch:
        x = torch.stack([row["x"] for row in rows])
        self.packs.append(len(x))
        return Batch({"x": x}, torch.tensor([row["y"] for row in rows]), torch.arange(len(x)), len(x))

    pack = pack_apart

    def noise(self, batch: Batch, generator: torch.Generator) -> Tensor | None:
        return torch.randn(batch.inputs["x"].shape, generator=generator) if self.noisy else None

    def total_loss(self, batch: Batch, noise: Tensor | None = None) -> Tensor:
        x = batch.inputs["x"] if noise is None else batch.inputs["x"] + noise
        return nn.functional.cross_entropy(self.module(x), batch.targets, reduction="none")


def arrays(module: nn.Module, shape: tuple[int, ...], count: int = 7, *, ids: bool = False) -> tuple[Arrays, Rows]:
    draw = torch.Generator().manual_seed(2)
    xs = [torch.randint(5, shape, generator=draw) if ids else torch.randn(shape, generator=draw) for _ in range(count)]
    rows = Rows(tuple(Row(id=str(i), fields={"x": x, "y": i % 3}) for i, x in enumerate(xs)))
    return shaken(Arrays(module)), rows


def alone(model: Any, rows: Rows) -> list[dict[str, Tensor]]:
    """Each row's gradient of its mean loss: batch 1, plain autograd, eval mode."""
    model.module.eval()
    found = []
    for row in rows:
        batch = model.pack_apart([row])
        model.module.zero_grad(set_to_none=True)
        (model.total_loss(batch) / len(batch.owner)).sum().backward()
        found.append({name: p.grad.clone() for name, p in model.module.named_parameters() if p.grad is not None})
    model.module.zero_grad(set_to_none=True)
    return found


def close(found: Tensor, wanted: Tensor, scale: float, tolerance: float = 1e-5) -> None:
    """Hold to a relative tolerance, or to rounding of the model's largest entry where a gradient is zero in theory."""
    torch.testing.assert_close(
        found, wanted, rtol=tolerance, atol=max(tolerance * float(wanted.abs().max()), 1e-9 * scale)
    )
