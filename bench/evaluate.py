"""TOFU's evaluation beside the standard framework's: python bench/evaluate.py CHECKOUT --data TOFU_FOLDER [--repeats 3].

CHECKOUT is a clone of locuslab/open-unlearning; its own metrics are run on forget05 with its own settings (every metric a pass of its
own over rows in data order, 32 a batch, padded; 200 new tokens). Ours are the one pass, generation and ghost norms, then the
same metrics. Both sides read the same fp32 Llama of about 8M parameters, trained briefly so that answers end, on one thread,
tokenised beforehand. Times are processor time of whole parts with their metrics, the framework's part and ours in turn; a ratio is
the median over repeats. Forward calls, positions and logit positions do not depend on the machine.

The framework's 14 metrics: those of its default list need `default` and `generation`, all need all four parts. Every number
must agree to 1e-4, row by row, before any ratio is printed; gradient norms leave the end of the sequence out there and not
here, and are not compared. Ranks and generations fall on either side of near-ties: how many rows differ is printed.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from expunge.contract.job import Job
from expunge.engine import score
from expunge.engine.fit import fit
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Rows
from expunge.modalities.text import TextModel
from expunge.modalities.text_build import new_text_model, train_tokenizer
from expunge.modalities.text_tokens import answers_of
from expunge.sources.tofu import Tofu
from own import Own
from standard import NEW_TOKENS, SPLITS, Standard, Values, framework

SHAPE = {
    "hidden_size": 256,
    "intermediate_size": 704,
    "num_hidden_layers": 7,
    "num_attention_heads": 8,
    "tie_word_embeddings": True,
    "max_position_embeddings": 512,
}
TOGETHER = {
    "teacher-forced, default": ("default",),
    "teacher-forced, all": ("default", "added by all"),
    "suite, default": ("default", "generation"),
    "suite, all": ("default", "added by all", "generation", "gradient norms"),
}
TIES = ("extraction_strength", "exact_memorization", "rouge")
"""Numbers that a near-tie of two logits decides."""


@dataclass
class Count:
    """Forward calls, positions the body ran and positions the head ran."""

    calls: int = 0
    body: int = 0
    head: int = 0

    def watch(self, module: Any) -> list[Any]:
        """Count from now on; returns handles to remove."""
        body = module.get_input_embeddings().register_forward_hook(lambda *given: self._body(given[1][0]))
        head = module.get_output_embeddings().register_forward_hook(lambda *given: self._head(given[1][0]))
        return [body, head]

    def _body(self, ids: Tensor) -> None:
        self.calls, self.body = self.calls + 1, self.body + ids.numel()

    def _head(self, hidden: Tensor) -> None:
        self.head += hidden.numel() // hidden.shape[-1]


def measured(models: tuple[TextModel, ...], call: Callable[[], Values]) -> tuple[float, Count, Values]:
    """Return processor seconds, counts over the models, and what a part gave."""
    count = Count()
    handles = [handle for model in models for handle in count.watch(model.module)]
    start = time.process_time()
    found = call()
    spent = time.process_time() - start
    for handle in handles:
        handle.remove()
    return spent, count, found


@contextlib.contextmanager
def as_shipped() -> Iterator[None]:
    """Score without our choice of matrix library."""
    known = score.__dict__["fast_linear"]
    score.__dict__["fast_linear"] = contextlib.nullcontext
    try:
        yield
    finally:
        score.__dict__["fast_linear"] = known


def differing(theirs: Values, ours: Values) -> Iterator[str]:
    """Yield how far numbers are apart, by name; ends the run where they do not agree."""
    for name in dict.fromkeys(key[0] for key in theirs if key[0] != "gradnorm"):
        pairs = [(theirs[key], ours[key]) for key in theirs if key[0] == name]
        gaps = np.concatenate([np.abs(a - b) for a, b in pairs])
        if name in TIES:
            yield f"{name}: {int((gaps > 1e-4).sum())} of {len(gaps)} rows differ"
            if (gaps > 1e-4).mean() > 0.01:
                sys.exit(f"{name} differs in more than 1% of the rows: no ratio is printed")
        else:
            yield f"{name}: {gaps.max():.1g}"
            if not gaps.max() <= 1e-4:
                sys.exit(f"{name} differs by up to {gaps.max():.2g}: no ratio is printed")


def least_positions(model: TextModel, rows: Mapping[str, Rows]) -> tuple[int, int]:
    """Return the positions of the default part that suffice where each question's common prefix is run once, and where
    answers that begin alike share that, too."""
    shared = least = 0
    for row in (row for split in SPLITS for row in rows[split]):
        codes = [model.tokens.encode(str(row["prompt"]), answer).ids[:-1] for answer in answers_of(row).values()]
        parting = (t for t, column in enumerate(zip(*codes, strict=False)) if len(set(column)) > 1)
        prefix = next(parting, min(map(len, codes)))
        shared += prefix + sum(len(ids) - prefix for ids in codes)
        least += len({ids[:n] for ids in codes for n in range(1, len(ids) + 1)})
    return shared, least


def report(name: str, parts: tuple[str, ...], runs: Mapping[str, list[tuple[Any, Any]]]) -> None:
    """Print counts and the median ratio of some parts together."""
    print(f"\n{name}\n{'':12}{'calls':>8}{'positions':>12}{'logit positions':>18}{'seconds':>10}")
    sums, seconds = [], []
    for side, label in enumerate(("standard", "own")):
        counts = [runs[part][0][side][1] for part in parts]
        sums.append([sum(getattr(count, what) for count in counts) for what in ("calls", "body", "head")])
        repeats = zip(*(runs[part] for part in parts), strict=True)
        seconds.append([sum(run[side][0] for run in repeat) for repeat in repeats])
        calls, body, head = sums[-1]
        print(f"{label:12}{calls:8}{body:12}{head:18}{statistics.median(seconds[-1]):10.2f}")
    ratios = [a / b for a, b in zip(*sums, strict=True)]
    times = [a / b for a, b in zip(*seconds, strict=True)]
    print(f"{'ratio':12}{ratios[0]:8.2f}{ratios[1]:12.2f}{ratios[2]:18.2f}{statistics.median(times):10.2f}", end="")
    print(f"   ({min(times):.2f} to {max(times):.2f} in {len(times)} repeats)", flush=True)


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--most", type=int, default=400, help="rows of a split at most: fewer for a quick look")
    parser.add_argument("--trained-on", type=int, default=2400, help="retain rows the model is trained on, three times")
    given = parser.parse_args()
    torch.set_num_threads(1)
    found = Tofu(data=str(given.data)).run()
    rows = {split: found[split][: given.most] for split in SPLITS}
    texts = [f"{row['prompt']} {row['answer']}" for row in found["retain"]]
    model = new_text_model(train_tokenizer(texts, 8192), "llama", SHAPE, seed=0)
    reference = model.copy()
    fit(model, found["retain"][: given.trained_on], Recipe(epochs=3, lr=2e-3, batch_size=8), job=Job())
    standard = Standard(framework(given.checkout), model, reference, rows)
    own = Own(model, reference, rows)
    few = {split: rows[split][:8] for split in SPLITS}
    for once in (
        *Standard(standard.code, model, reference, few).parts().values(),
        *Own(model, reference, few).parts().values(),
    ):
        once()  # warm up
    runs: dict[str, list[tuple[Any, Any]]] = {part: [] for part in standard.parts()}
    shipped: list[float] = []
    for repeat in range(given.repeats):
        for part in runs:
            pair = tuple(measured((model, reference), side.parts()[part]) for side in (standard, own))
            if not repeat:
                print(f"{part}: " + "; ".join(differing(pair[0][2], pair[1][2])), flush=True)
            runs[part].append(pair)  # type: ignore[arg-type]
        with as_shipped():
            shipped.append(runs["default"][-1][0][0] / measured((model,), own.parts()["default"])[0])
    size = sum(parameter.numel() for parameter in model.module.parameters())
    sizes = ", ".join(f"{len(rows[split])} {split}" for split in SPLITS)
    print(f"{size / 1e6:.1f}M parameters; rows: {sizes}; times are processor time, medians of {given.repeats} repeats")
    for name, parts in [*TOGETHER.items(), *((part, (part,)) for part in ("generation", "gradient norms"))]:
        report(name, parts, runs)
    lengths = [len(model.tokens.tokenizer(text)["input_ids"]) for text in own.said]
    print(
        f"\nteacher-forced, default, our linear layers in the library that PyTorch takes: {statistics.median(shipped):.2f}"
    )
    print(
        f"generations: {np.mean(lengths):.0f} tokens on average, {sum(n >= NEW_TOKENS - 1 for n in lengths)} of {len(lengths)} cut"
    )
    shared, least = least_positions(model, rows)
    ran = runs["default"][0][1][1].body
    print(
        f"\nshared-prefix minimum {shared} positions, {least} where answers share their beginnings, too; own runs {ran}:"
    )
    print(f"{ran / shared:.3f} and {ran / least:.3f} times these")


if __name__ == "__main__":
    main()
