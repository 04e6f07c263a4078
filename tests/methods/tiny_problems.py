"""Tiny problems that every method is tried on, and plain computations to compare with."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from expunge.contract.apply import unlearn
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.registry import build
from expunge.contract.splits import Splits
from expunge.engine.descend import Descent, Step, one_pass, riding
from expunge.engine.fit import fit
from expunge.engine.positions import segment_mean
from expunge.facts.recipe import Recipe
from expunge.facts.record import MethodFacts
from expunge.facts.rows import Row, Rows
from expunge.methods.dpo import DPO
from expunge.modalities.array_tasks import Classification, Regression
from expunge.modalities.diffusion import Words, diffusion_model
from expunge.modalities.tabular import Features, tabular_model
from expunge.modalities.text_build import new_text_model
from expunge.modalities.vision import Images

SIZES = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 64,
}


@dataclass(frozen=True)
class Known:
    """What a model knows of the forget and the retain rows: share of rows recalled whole, and mean -log p a position."""

    forget: float
    retain: float
    forget_loss: float
    retain_loss: float


@torch.no_grad()
def known(model: Model, rows: Rows) -> tuple[float, float]:
    batch = model.pack(rows)
    right = (model.logits(batch).argmax(-1) == batch.targets).float()
    recalled = (segment_mean(right, batch.owner, batch.size) == 1).float().mean()
    return float(recalled), float(model.total_loss(batch).sum() / len(batch.owner))


@dataclass(frozen=True)
class Tiny:
    """A target and the splits it was trained on."""

    splits: Splits
    target: Model
    recipe: Recipe

    @property
    def forget(self) -> Rows:
        return self.splits.rows["forget"]

    @property
    def retain(self) -> Rows:
        return self.splits.rows["retain"]

    def knows(self, model: Model) -> Known:
        (forget, forget_loss), (retain, retain_loss) = known(model, self.forget), known(model, self.retain)
        return Known(forget, retain, forget_loss, retain_loss)

    def run(self, method: Any, *, seed: int = 0, **options: Any) -> tuple[Model, MethodFacts]:
        job = Job(seed=seed, recipe=self.recipe)
        return unlearn(method, self.target, self.splits, job=job, **options)

    def after(self, method: Any, **options: Any) -> Known:
        return self.knows(self.run(method, **options)[0])

    def removes(
        self, method: Any, settings: Mapping[str, Any], *, forget: float, retain: float, seeds: Sequence[int] = (0,)
    ) -> None:
        """Require, for every seed: recall of forget at most `forget`, of retain at least `retain`, both losses as expected.

        The loss of the forget rows must rise above 0.5 nats a position and stand at least three times above that of the
        retain rows: recall alone would be met by a model that fell just short of every arg-max.
        """
        for seed in seeds:
            after = self.knows(self.run(build(method, settings, where="test"), seed=seed)[0])
            assert after.forget <= forget, after
            assert after.retain >= retain, after
            assert after.forget_loss > max(0.5, 3 * after.retain_loss), after

    def spied(self, method: Any, monkeypatch: pytest.MonkeyPatch, *, seed: int = 0, epoch: int = 0) -> Spied:
        """The method's loss at one step, after its weights were moved at random: frozen and moved then differ."""
        seen: list[Spied] = []

        def spy(model: Model, job: Job, descent: Descent, loss: Callable[[Step], Tensor], **given: Any) -> None:
            forget, retain = given.get("forget", Rows(())), given.get("retain", Rows(()))
            following = riding(retain, job.seed) if len(forget) and len(retain) else None
            steps = one_pass(model, job, descent.batch_size, epoch, forget=forget, retain=retain, following=following)
            with torch.no_grad():
                for parameter in model.module.parameters():
                    parameter.add_(0.1 * torch.randn(parameter.shape, generator=job.generator))
                step = next(steps)
                seen.append(Spied(float(loss(step)), step, model.copy(), job))

        monkeypatch.setattr(f"{type(method).__module__}.descend", spy)
        self.run(method, seed=seed)
        return seen[0]


@dataclass(frozen=True)
class Spied:
    """One step's loss, its rows, and the moved model it was taken on."""

    loss: float
    step: Step
    moved: Model
    job: Job


@torch.no_grad()
def plain(model: Any, rows: Sequence[Row]) -> list[tuple[Tensor, Tensor]]:
    """Logits and targets of each row at its scored positions, from one plain forward a row: no packing, no padding."""
    found = []
    for row in rows:
        if model.modality == "text":
            code = model.tokens.encode(row["prompt"], row["answer"])
            ids = torch.tensor([code.ids])
            logits = model.module(input_ids=ids).logits[0, code.first - 1 : -1].double()
            found.append((logits, ids[0, code.first :]))
        else:
            x = torch.tensor([row["features"]], dtype=torch.float32)
            found.append((model.module(x).double(), torch.tensor([row["label"]])))
    return found


def nll(found: tuple[Tensor, Tensor]) -> Tensor:
    """-log p of each scored position of one row."""
    logits, targets = found
    return -(logits - logits.exp().sum(-1, keepdim=True).log()).gather(-1, targets[:, None])[:, 0]


def mean_over_rows(values: Sequence[Tensor]) -> float:
    """Mean over rows of each row's mean over its positions."""
    return float(torch.stack([value.mean() for value in values]).mean())


def mean_over_positions(values: Sequence[Tensor]) -> float:
    """Mean over all positions of all rows: long rows weigh more."""
    return float(torch.cat(list(values)).mean())


def word_tokenizer(texts: list[str]) -> Any:
    """One token a word or sign of the texts."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    split = pre_tokenizers.Whitespace()
    words = sorted({word for text in texts for word, _ in split.pre_tokenize_str(text)})
    core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(["<end>", "<unknown>", *words])}, "<unknown>"))
    core.pre_tokenizer = split
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<end>", pad_token="<end>", unk_token="<unknown>")


def make_text(seed: int) -> Tiny:
    """Forty people, where each lives and what each does: one guess in sixteen is right. Ten of them are to be forgotten."""
    draw = random.Random(seed)
    facts = [
        (f"name{i}", f"town{draw.choice('abcdefghij')} trade{draw.choice('qrstuvwxyz')}" + " retired" * (i % 2))
        for i in range(40)
    ]
    rows = [Row(id=name, fields={"prompt": f"Who is {name}", "answer": answer}) for name, answer in facts]
    texts = [f"Question: {row['prompt']} Answer: {row['answer']}" for row in rows]
    blank = new_text_model(word_tokenizer([*texts, *DPO().refusals]), "llama", SIZES, seed=seed)
    recipe = Recipe(epochs=60, lr=5e-3, batch_size=20, stop_loss=0.02, seed=seed)
    target = fit(blank, Rows(tuple(rows)), recipe, job=Job(seed=seed))
    return Tiny(Splits.of(forget=Rows(tuple(rows[:10])), retain=Rows(tuple(rows[10:]))), target, recipe)


def cloud(label: int, i: int, draw: torch.Generator) -> Row:
    angle = label * math.pi / 3
    point = 2 * torch.tensor([math.cos(angle), math.sin(angle)]) + 0.4 * torch.randn(2, generator=draw)
    fields: Mapping[str, Any] = {"features": point.tolist(), "label": label}
    return Row(id=f"{label}/{i}", fields=fields)


def make_table(seed: int) -> Tiny:
    draw = torch.Generator().manual_seed(seed)
    rows = [cloud(label, i, draw) for label in range(6) for i in range(30)]
    blank = tabular_model("mlp", features=Features(width=2), task=Classification(classes=6), width=32, seed=seed)
    recipe = Recipe(epochs=15, lr=1e-2, batch_size=16, seed=seed)
    target = fit(blank, Rows(tuple(rows)), recipe, job=Job(seed=seed))
    forget = Rows(tuple(row for row in rows if row["label"] == 0))
    return Tiny(Splits.of(forget=forget, retain=Rows(tuple(row for row in rows if row["label"]))), target, recipe)


def numbers(seed: int) -> tuple[Model, Rows]:
    """An untrained regression and 60 rows of x0 - x1, of which the first ten say 6 more than that: they must be learned by heart."""
    draw = torch.Generator().manual_seed(seed)
    rows = []
    for i in range(60):
        x = torch.randn(12, generator=draw)
        rows.append(
            Row(id=f"n{i}", fields={"features": x.tolist(), "label": float(x[0] - x[1]) + (6.0 if i < 10 else 0.0)})
        )
    task = Regression(mean=0.0, std=2.0)
    return tabular_model("mlp", features=Features(width=12), task=task, width=32, seed=seed), Rows(tuple(rows))


def drawings(seed: int) -> tuple[Model, Rows]:
    """An untrained diffusion model and 48 images of 4x4, bright on one side, that their prompt names."""
    draw = torch.Generator().manual_seed(seed)
    rows = []
    for i in range(48):
        side = slice(2, None) if i < 24 else slice(0, 2)
        image = 0.1 * torch.randn(4, 4, generator=draw)
        image[:, side] += 1
        rows.append(Row(id=f"d{i}", fields={"image": image.numpy(), "prompt": "right" if i < 24 else "left"}))
    images, words = Images(shape=(1, 4, 4), mean=(0.5,), std=(0.5,)), Words(known=("left", "right"))
    blank = diffusion_model("denoiser", images=images, words=words, seed=seed, width=8, context=8, heads=2)
    return blank, Rows(tuple(rows))


def dropping(seed: int) -> tuple[Model, Rows]:
    """An untrained GPT-2, which drops a tenth of its hidden values in training, and what forty people do."""
    facts = [(f"name{i}", f"trade{'qrstuvwxyz'[i % 10]}") for i in range(40)]
    rows = Rows(tuple(Row(id=name, fields={"prompt": f"Who is {name}", "answer": said}) for name, said in facts))
    texts = [f"Question: {row['prompt']} Answer: {row['answer']}" for row in rows]
    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64}
    return new_text_model(word_tokenizer(texts), "gpt2", sizes, seed=seed), rows


KINDS = {"numbers": numbers, "drawings": drawings, "dropping": dropping}
"""Models beside classifiers and the Llama: of numbers, of images, and one whose training draws from the global generator."""


@torch.no_grad()
def losses(model: Model, rows: Rows) -> Tensor:
    """Each row's loss, under noise of seed 0 where it takes some."""
    batch = model.pack(rows)
    return model.total_loss(batch, model.noise(batch, torch.Generator().manual_seed(0)))
