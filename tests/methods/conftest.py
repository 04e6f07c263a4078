"""Two tiny problems that every method is tried on: fictitious people (text) and six clouds of points (tabular)."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from expunge.contract.apply import unlearn
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.descend import Step
from expunge.engine.fit import fit
from expunge.engine.positions import segment_mean
from expunge.facts.recipe import Recipe
from expunge.facts.record import MethodFacts
from expunge.facts.rows import Row, Rows
from expunge.methods.dpo import DPO
from expunge.modalities.array_tasks import Classification
from expunge.modalities.tabular import Features, tabular_model
from expunge.modalities.text_build import new_text_model


SIZES = {
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "tie_word_embeddings": True,
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

    def first_loss(self, method: Any, monkeypatch: pytest.MonkeyPatch, *, seed: int = 0) -> tuple[float, Step]:
        """Value of the method's loss at its first step, on the target, and that step."""
        seen: list[tuple[float, Step]] = []

        def record(model: Model, job: Job, descent: Any, loss: Callable[[Step], Any], **given: Any) -> None:
            from expunge.engine.descend import one_pass, riding

            forget, retain = given.get("forget", Rows(())), given.get("retain", Rows(()))
            following = riding(retain, job.seed) if len(forget) and len(retain) else None
            step = next(one_pass(model, job, descent.batch_size, 0, forget=forget, retain=retain, following=following))
            with torch.no_grad():
                seen.append((float(loss(step)), step))

        monkeypatch.setattr(f"{type(method).__module__}.descend", record)
        self.run(method, seed=seed)
        return seen[0]


def word_tokenizer(texts: list[str]) -> Any:
    """One token a word or sign of the texts."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    split = pre_tokenizers.Whitespace()
    words = sorted({word for text in texts for word, _ in split.pre_tokenize_str(text)})
    core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(["<end>", "<unknown>", *words])}, "<unknown>"))
    core.pre_tokenizer = split
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<end>", pad_token="<end>", unk_token="<unknown>")


def make_text(seed: int, people: int = 8, relations: int = 8) -> Tiny:
    """People with random facts of two words each; one in sixteen guesses is right. Two people are to be forgotten."""
    draw = random.Random(seed)
    facts = [(f"name{i}", f"relation{k}", draw.choice("abcd"), draw.choice("wxyz")) for i in range(people) for k in range(relations)]
    rows = [
        Row(id=f"{name}/{relation}", fields={"prompt": f"{relation} of {name}", "answer": f"{a} {b}"}, group=name)
        for name, relation, a, b in facts
    ]
    texts = [f"Question: {row['prompt']} Answer: {row['answer']}" for row in rows]
    tokenizer = word_tokenizer([*texts, *DPO().refusals])
    blank = new_text_model(tokenizer, "llama", SIZES, seed=seed)
    recipe = Recipe(epochs=40, lr=8e-3, batch_size=16, stop_loss=0.03, seed=seed)
    target = fit(blank, Rows(tuple(rows)), recipe, job=Job(seed=seed))
    forget, retain = rows[: 2 * relations], rows[2 * relations :]
    return Tiny(Splits.of(forget=Rows(tuple(forget)), retain=Rows(tuple(retain))), target, recipe)


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


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def people() -> Tiny:
    """A tiny Llama that recalls eight fictitious people, two of whom are to be forgotten."""
    return make_text(0)


@pytest.fixture(scope="session")
def clouds() -> Tiny:
    """A small MLP that tells six clouds of points apart, one of which is to be forgotten."""
    return make_table(0)
