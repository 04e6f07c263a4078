"""Training steps beside the standard framework's: python bench/steps.py CHECKOUT --data TOFU_FOLDER [--batch 8] [--steps 6].

CHECKOUT is a clone of locuslab/open-unlearning; its own trainers' `compute_loss` is run, unchanged, on its own kind of batch (padded on the
right, forget and retain apart). Both sides see the same rows in the same order, the same fp32 Llama of about 8M parameters, fused AdamW
and gradient clipping, on one thread. Times are of whole steps (packing or padding, loss, backward, optimiser), processor time, one step
of each side in turn; the ratio is the median of the pairs. Losses must agree before any ratio is printed. Positions are counted in the
same run: they do not depend on the machine. Tokenising is done beforehand on both sides (each keeps its tokens).
"""

from __future__ import annotations

import argparse
import copy
import importlib
import statistics
import sys
import time
import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from expunge.contract.apply import unlearn
from expunge.contract.job import Job
from expunge.contract.registry import find
from expunge.contract.splits import Splits
from expunge.engine import loop
from expunge.engine.descend import one_pass, riding
from expunge.engine.loop import optimiser
from expunge.facts.rows import Rows
from expunge.modalities.text import TextModel
from expunge.modalities.text_build import new_text_model, train_tokenizer
from expunge.sources.tofu import Tofu

T = TypeVar("T")
LR = 1e-5
SHAPE = {
    "hidden_size": 256,
    "intermediate_size": 704,
    "num_hidden_layers": 7,
    "num_attention_heads": 8,
    "tie_word_embeddings": True,
    "max_position_embeddings": 512,
}
METHODS = {"npo": ("npo", "NPO", {"beta": 0.1}), "grad_diff": ("grad_diff", "GradDiff", {})}


@dataclass
class Turns:
    """Progress that runs one step of the peer before each step of the unit, and notes what both took."""

    peer: Iterator[tuple[float, float]]
    theirs: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)

    def track(self, items: Iterable[T], *, total: int, label: str) -> Iterator[T]:
        """Yield `items`; the time until the next is asked for is the step's."""
        for item in items:
            self.theirs.append(next(self.peer)[0])
            start = time.process_time()
            yield item
            self.own.append(time.process_time() - start)


@dataclass
class Count:
    """Positions that the body and the head of a model ran, forward only."""

    body: int = 0
    head: int = 0

    def watch(self, module: Any) -> None:
        """Count from now on."""
        module.get_input_embeddings().register_forward_hook(lambda *given: self._body(given[1][0]))
        module.get_output_embeddings().register_forward_hook(lambda *given: self._head(given[1][0]))

    def _body(self, ids: Tensor) -> None:
        self.body += ids.numel()

    def _head(self, hidden: Tensor) -> None:
        self.head += hidden.numel() // hidden.shape[-1]


def peer_class(checkout: Path, module: str, name: str) -> Any:
    """Return a trainer class of the checkout, without running its package's own imports (deepspeed, omegaconf)."""
    if "trainer" not in sys.modules:
        package = types.ModuleType("trainer")
        package.__path__ = [str(checkout / "src" / "trainer")]
        sys.modules["trainer"] = package
    return getattr(importlib.import_module(f"trainer.unlearn.{module}"), name)


def peer_trainer(checkout: Path, method: str, model: nn.Module) -> Any:
    """Return the peer's trainer with what its `compute_loss` reads: weights 1, retain loss NLL, a frozen copy where it keeps one."""
    module, name, more = METHODS[method]
    cls = peer_class(checkout, module, name)
    trainer = cls.__new__(cls)
    frozen = copy.deepcopy(model).eval() if method == "npo" else None
    trainer.__dict__.update(model=model, gamma=1.0, alpha=1.0, retain_loss_type="NLL", ref_model=frozen, **more)
    return trainer


def padded(model: TextModel, rows: Rows) -> dict[str, Tensor]:
    """Return rows as the peer's collator gives them: padded on the right, mask from ids, labels -100 before the answer."""
    ids, labels = [], []
    for row in rows:
        code = model.tokens.encode(str(row["prompt"]), str(row["answer"]))
        ids.append(torch.tensor(code.ids))
        labels.append(torch.tensor([-100] * code.first + list(code.ids[code.first :])))
    lengths = torch.tensor([len(one) for one in ids])
    stacked = pad_sequence(ids, batch_first=True, padding_value=model.tokens.eos)
    # the peer masks by `ids != pad`, which hides real end tokens where pad is eos; the cost is the same
    mask = torch.arange(stacked.shape[1])[None] < lengths[:, None]
    return {
        "input_ids": stacked,
        "attention_mask": mask,
        "labels": pad_sequence(labels, batch_first=True, padding_value=-100),
    }


def peer_steps(trainer: Any, model: TextModel, batches: list[tuple[Rows, Rows]]) -> Iterator[tuple[float, float]]:
    """Yield (seconds, loss) of one optimiser step of the peer after another."""
    parameters = list(trainer.model.parameters())
    adam = optimiser(parameters, "adamw", lr=LR, weight_decay=0.0)
    for forget, retain in batches:
        start = time.process_time()
        inputs = {"forget": padded(model, forget), "retain": padded(model, retain)}
        loss = trainer.compute_loss(trainer.model, inputs)
        adam.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        adam.step()
        yield time.process_time() - start, float(loss.detach())


def own_method(method: str, batch: int, epochs: int) -> Any:
    """Return the unit with the peer's settings."""
    more = METHODS[method][2]
    settings = {"forget_weight": 1.0, "retain_weight": 1.0, "lr": LR, "schedule": "constant", "warmup": 0.0}
    return find("method", method).create({**settings, **more, "batch_size": batch, "epochs": epochs})


def batches_of(model: TextModel, splits: Splits, batch: int, epochs: int) -> list[tuple[Rows, Rows]]:
    """Return the rows of each step, as the unit under seed 0 draws them."""
    forget, retain = splits.rows["forget"], splits.rows["retain"]
    following, job = riding(retain, 0), Job()
    return [
        (step.forget, step.retain)
        for epoch in range(epochs)
        for step in one_pass(model, job, batch, epoch, forget=forget, retain=retain, following=following)
    ]


def first_losses(checkout: Path, method: str, model: TextModel, splits: Splits) -> tuple[float, float]:
    """Return the peer's and the unit's loss on one forget and one retain row after the model moved away from its frozen copy.

    One row each: there, means over rows and over all positions of a batch (GradDiff's two definitions) are one number.
    """
    one = Splits.of(forget=splits.rows["forget"][:1], retain=splits.rows["retain"][:1])
    rows = batches_of(model, one, 1, 2)
    trainer = peer_trainer(checkout, method, copy.deepcopy(model.module))
    losses = [loss for _, loss in peer_steps(trainer, model, rows)]
    own = own_losses(method, model.copy(), one)
    return losses[1], own[1]


def own_losses(method: str, model: TextModel, splits: Splits) -> list[float]:
    """Return the unit's losses of two steps with batch 1."""
    found: list[float] = []
    check = loop.__dict__["total_over_processes"]

    def kept(value: Tensor) -> Tensor:
        found.append(float(value))
        return value

    loop.__dict__["total_over_processes"] = kept
    try:
        unlearn(own_method(method, 1, 2), model, splits, job=Job())
    finally:
        loop.__dict__["total_over_processes"] = check
    return found


def compare(checkout: Path, method: str, model: TextModel, splits: Splits, batch: int, steps: int) -> None:
    """Print the losses' agreement, the ratio of step times, and the positions each side ran a step."""
    peer_loss, own_loss = first_losses(checkout, method, model, splits)
    if abs(peer_loss - own_loss) > 1e-4 * abs(peer_loss):
        sys.exit(f"{method}: the losses differ: peer {peer_loss}, own {own_loss}")
    epochs = -(-steps * batch // len(splits.rows["forget"]))
    rows = batches_of(model, splits, batch, epochs)
    trainer = peer_trainer(checkout, method, copy.deepcopy(model.module))
    peer_count, own_count = Count(), Count()
    peer_count.watch(trainer.model)
    if trainer.ref_model is not None:
        peer_count.watch(trainer.ref_model)
    turns, twin = Turns(peer_steps(trainer, model, rows)), model.copy()
    own_count.watch(twin.module)
    started = time.process_time()
    unlearn(own_method(method, batch, epochs), twin, splits, job=Job(progress=turns), consume=True)
    outside = time.process_time() - started - sum(turns.theirs) - sum(turns.own)
    theirs, own = turns.theirs[1:], turns.own[1:]  # the first step of each side warms up
    ratio, n = statistics.median(a / b for a, b in zip(theirs, own, strict=True)), len(turns.own)
    print(
        f"{method}: ratio {ratio:.2f} (peer {statistics.median(theirs):.3f} s, own {statistics.median(own):.3f} s a step of "
        f"{batch}+{batch} rows, {n} steps; loss {peer_loss:.5f} and {own_loss:.5f}); positions a step: "
        f"body {peer_count.body / n:.0f} and {own_count.body / n:.0f}, head {peer_count.head / n:.0f} and "
        f"{own_count.head / n:.0f} (own: frozen losses included); outside the steps own {outside:.2f} s; "
        f"models in memory {1 + (trainer.ref_model is not None)} and 1"
    )


def main() -> None:
    """Build the model and rows, and compare both methods."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkout", type=Path, help="clone of locuslab/open-unlearning")
    parser.add_argument("--data", type=Path, required=True, help="folder of TOFU's jsonl files")
    parser.add_argument("--batch", type=int, default=8, help="forget rows a step (the peer's default)")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--method", choices=sorted(METHODS), action="append")
    given = parser.parse_args()
    torch.set_num_threads(1)
    found = Tofu(data=str(given.data), local=False).run()
    texts = [f"{row['prompt']} {row['answer']}" for row in found["retain"]]
    model = new_text_model(train_tokenizer(texts, 8192), "llama", SHAPE, seed=0)
    forget = found["forget"].take(range(min(len(found["forget"]), given.steps * given.batch)))
    splits = Splits.of(forget=forget, retain=found["retain"])
    print(f"{sum(p.numel() for p in model.module.parameters()) / 1e6:.1f}M parameters, fp32, 1 thread")
    for method in given.method or sorted(METHODS):
        compare(given.checkout, method, model, splits, given.batch, given.steps)


if __name__ == "__main__":
    main()
