"""Per-example gradients against a loop with batch 1: python bench/per_example.py [--rows 512] [--most-rows 64] [--only cnn].

One thread, processor time (other work on the machine does not enter it), the least of several runs. `ceiling` is what no
per-example method of this kind can pass: the loop against one plain batched forward and backward that yields only the sum.
`vmap` is torch.func.vmap(grad) over the same rows, where the model allows it. `--most-rows` sets how many rows a pass takes, whatever
the width of their outputs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from expunge.contract.job import Job
from expunge.contract.model import Batch, Question
from expunge.engine import per_example
from expunge.engine.gradients import RowNoise, mean_losses
from expunge.engine.per_example import _most_rows, _plan, gradient_norms, squared_gradient_sum
from expunge.facts.rows import Row, Rows
from expunge.modalities.text_build import new_text_model, train_tokenizer
from expunge.modalities.vision_networks import NETWORKS
from timing import seconds

CONFIGURATION = {
    "llama": {
        "hidden_size": 64,
        "intermediate_size": 172,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "max_position_embeddings": 256,
    },
    "gpt2": {"n_embd": 64, "n_layer": 2, "n_head": 4},
}


@dataclass
class Images:
    """The least of an adapter: images to classes."""

    module: nn.Module
    device = torch.device("cpu")

    def questions(self, rows: Any) -> list[Question]:
        """Return one question a row."""
        return [Question(row.id, None, {"label": row["y"]}) for row in rows]

    def question_cost(self, question: Question) -> int:
        """Return 1."""
        return 1

    def pack_apart(self, rows: Any) -> Batch:
        """Return rows as one batch."""
        x = torch.stack([row["x"] for row in rows])
        return Batch({"x": x}, torch.tensor([row["y"] for row in rows]), torch.arange(len(x)), len(x))

    pack = pack_apart

    def noise(self, batch: Batch, generator: torch.Generator) -> None:
        """Return None."""

    def total_loss(self, batch: Batch, noise: Tensor | None = None) -> Tensor:
        """Return the cross-entropy of each image."""
        return nn.functional.cross_entropy(self.module(batch.inputs["x"]), batch.targets, reduction="none")


def text(architecture: str, words: tuple[int, int], count: int) -> tuple[Any, Rows]:
    """Return a new language model and rows whose prompts and answers have so many made-up words."""
    draw = np.random.default_rng(0)
    syllables = [a + b for a in "bdfgklmnprst" for b in "aeiou"]

    def words_of() -> str:
        return " ".join("".join(draw.choice(syllables, 2)) for _ in range(int(draw.integers(*words))))

    rows = Rows(tuple(Row(id=str(i), fields={"prompt": words_of(), "answer": words_of()}) for i in range(count)))
    tokenizer = train_tokenizer([f"{row['prompt']} {row['answer']}" for row in rows], 512)
    return new_text_model(tokenizer, architecture, CONFIGURATION[architecture], seed=0), rows


def images(network: str, side: int, count: int) -> tuple[Any, Rows]:
    """Return a new image classifier and noise for images."""
    torch.manual_seed(0)
    mlp = [nn.Flatten(), nn.Linear(side**2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)]
    module = nn.Sequential(*mlp) if network == "mlp" else NETWORKS[network]((1, side, side), 10)
    rows = [Row(id=str(i), fields={"x": torch.randn(1, side, side), "y": i % 10}) for i in range(count)]
    return Images(module), Rows(tuple(rows))


def loop(model: Any, rows: Rows, squares: bool) -> tuple[dict[str, Tensor], Tensor]:
    """Return squares by name, or norms of each row, by autograd with batch 1."""
    named, norms = dict(model.module.named_parameters()), []
    sums: dict[str, Tensor] = {}
    for row in rows:
        losses = mean_losses(model, model.pack_apart([row]), None, Job())
        for name, value in zip(named, torch.autograd.grad(losses.sum(), list(named.values())), strict=True):
            if squares:
                sums[name] = sums.get(name, 0) + value.square()
            else:
                norms.append(value.norm())
    return sums, torch.stack(norms).view(len(rows), -1) if norms else torch.zeros(0)


def by_vmap(model: Images, rows: Rows) -> dict[str, Tensor]:
    """Return squares by name with vmap(grad), 64 rows at a time."""
    named = {name: p.detach() for name, p in model.module.named_parameters()}

    def loss(parameters: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return nn.functional.cross_entropy(functional_call(model.module, parameters, (x[None],)), y[None])

    sums: dict[str, Any] = {}
    for start in range(0, len(rows), 64):
        batch = model.pack(rows[start : start + 64])
        found = vmap(grad(loss), in_dims=(None, 0, 0))(named, batch.inputs["x"], batch.targets)
        sums = {name: sums.get(name, 0) + value.square().sum(0) for name, value in found.items()}
    return sums


def line(model: Any, rows: Rows) -> str:
    """Measure one model and return its line of the table."""
    some, parameters = rows[:64], list(model.module.parameters())

    passes = _plan(model, rows, _most_rows(model, rows, RowNoise.of(model, rows, Job()), Job()))

    def batched() -> None:
        for indices in passes:
            batch = model.pack_apart([rows[i] for i in indices])
            torch.autograd.grad(mean_losses(model, batch, None, Job()).sum(), parameters)

    one = seconds(lambda: loop(model, some, True), 3) / len(some)
    one_norms = seconds(lambda: loop(model, some, False), 3) / len(some)
    squares = seconds(lambda: squared_gradient_sum(model, rows, job=Job())) / len(rows)
    norms = seconds(lambda: gradient_norms(model, rows, job=Job())) / len(rows)
    ceiling = one / (seconds(batched) / len(rows))
    mapped = f"{one / (seconds(lambda: by_vmap(model, rows)) / len(rows)):8.1f}x" if isinstance(model, Images) else "-"
    job = Job()
    wanted, found = loop(model, some, True)[0], squared_gradient_sum(model, some, job=job)
    assert not job.notes, job.notes
    error = max(float((found[key] - wanted[key]).abs().max() / wanted[key].abs().max()) for key in wanted)
    positions = sum(model.pack_apart([row]).positions for row in some) / len(some)
    length = f"{positions:.0f}" if positions else "-"
    return f"{length:>7}{one * 1000:12.2f}{one / squares:8.1f}x{one_norms / norms:8.1f}x{ceiling:8.1f}x{mapped:>9}  {error:.0e}"


def main() -> None:
    """Print one line a model."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--most-rows", type=int)
    parser.add_argument("--only", default="", help="models whose name begins so")
    given = parser.parse_args()
    count = given.rows
    if given.most_rows:
        per_example.MOST_ROWS = per_example.FEW_ROWS = given.most_rows
    torch.set_num_threads(1)
    cases: dict[str, Callable[[], tuple[Any, Rows]]] = {
        "llama 2x64, short rows": lambda: text("llama", (1, 3), count),
        "llama 2x64, TOFU-like rows": lambda: text("llama", (4, 9), count),
        "gpt2 2x64, short rows": lambda: text("gpt2", (1, 3), count),
        "gpt2 2x64, TOFU-like rows": lambda: text("gpt2", (4, 9), count),
        **{
            f"{network}, {side}x{side}": partial(images, network, side, count)
            for side, networks in ((8, ("cnn",)), (16, ("mlp", "cnn", "resnet", "vit")))
            for network in networks
        },
    }
    print(
        f"{'model':28}{'tokens':>7}{'loop ms/row':>12}{'squares':>9}{'norms':>9}{'ceiling':>9}{'vmap':>9}  worst error"
    )
    for name, build in cases.items():
        if not name.startswith(given.only):
            continue
        print(f"{name:28}{line(*build())}", flush=True)


if __name__ == "__main__":
    main()
