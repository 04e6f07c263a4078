"""Forget sets that are hard to forget: python bench/worst_case.py --page docs/results/worst_case.md. Digits, or MNIST by --data.

The worst-case set of a target is searched on one unlearner (bi-level selection) and compared with random sets of equal size under five
methods, whose settings one search chose for all alike on a random request: share of forget rows answered wrong, that of models
retrained without the very set, and the gap to these one by one (that of a retrained model to the others is the noise floor). Rows with the
least loss at the target stand beside it: what no search of sets would take.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from tempfile import TemporaryDirectory
from typing import Any

import torch

from expunge.contract.apply import unlearn
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.registry import find
from expunge.contract.splits import Splits
from expunge.engine.fit import fit
from expunge.engine.fit_many import fit_many
from expunge.engine.worst_case import LOWER, Search, row_losses, worst_case
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Rows
from expunge.modalities.vision import Images, vision_model
from expunge.pipeline.benchmark import benchmark_plan
from expunge.pipeline.progress import Bars
from expunge.pipeline.tuned import tuned_plan, words
from expunge.sources.digits import Digits
from expunge.sources.mnist import Mnist
from pages import write_tables
from vision import BUDGET

METHODS = ("finetune", "l1_sparse", "scrub", "random_label", "ascent")
RECIPE = Recipe(epochs=40, lr=4e-3, batch_size=64)
SEARCH_SEED = 900
READ = Images(shape=(1, 8, 8), mean=(0.3,), std=(0.38,))
READ_MNIST = Images(shape=(1, 28, 28), mean=(0.13,), std=(0.31,))


@dataclass(frozen=True)
class World:
    """A target, what it was trained on, and clean test rows."""

    seed: int
    target: Model
    every: Rows
    test: Rows

    def split(self, chosen: Sequence[int]) -> Splits:
        """Return forget and retain where the rows at these places are to be forgotten."""
        gone = set(chosen)
        forget, retain = ([row for i, row in enumerate(self.every) if (i in gone) == side] for side in (True, False))
        return Splits.of(forget=Rows(tuple(forget)), retain=Rows(tuple(retain)))


@torch.no_grad()
def wrong(model: Model, rows: Rows) -> float:
    """Return the share of rows answered otherwise than by their label, in percent."""
    batch = model.pack(rows)
    return 100 * float((model.logits(batch).argmax(-1) != batch.targets).float().mean())


def world(seed: int, noise: float, given: argparse.Namespace) -> World:
    """Train a target on all rows; a share of labels is wrong."""
    source: Digits | Mnist
    if given.data:
        source = Mnist(data=given.data, train_rows=given.rows, forget="random=0.1", holdout=0.0, label_noise=noise, seed=seed)  # fmt: skip
        images = READ_MNIST
    else:
        source, images = Digits(forget="random=0.1", holdout=0.0, label_noise=noise, seed=seed), READ
    found = source.run()
    every = Rows(tuple(sorted((*found["forget"], *found["retain"]), key=lambda row: row.id)), "train")
    blank = vision_model("mlp", images=images, classes=10, seed=seed, width=256, depth=1)
    target = fit(blank, every, RECIPE.model_copy(update={"seed": seed}), job=Job(seed=seed))
    return World(seed, target, every, found["test"])


def searched(noise: float, given: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Return the settings of each method and how they were found, on a random request of rows and labels that are not reported."""
    own = {"seed": SEARCH_SEED, "label_noise": noise, "share": given.share, "train_rows": given.rows}
    protocol = find("benchmark", "worst_case").create(own).run(Path(given.data) if given.data else None)
    settings = {**protocol.settings, "recipe": RECIPE.model_dump()}
    plan = benchmark_plan(
        "worst_case", replace(protocol, settings=settings), METHODS, seeds=range(given.seeds), retrained=[1, 2, 3]
    )
    with TemporaryDirectory() as folder:
        tuned, search = tuned_plan(plan, Path(folder), budget=BUDGET, progress=Bars(quiet=True))
    return {method.name: method.settings for method in tuned.method}, words(search)


def forget_sets(one: World, size: int, given: argparse.Namespace) -> dict[str, Sequence[int]]:
    """Return the sets to compare, as places of rows."""
    found: dict[str, Sequence[int]] = {}
    for number in range(given.random):
        draw = torch.Generator().manual_seed(1000 * one.seed + number)
        found[f"random {number}"] = torch.randperm(len(one.every), generator=draw)[:size].tolist()
    for lower in LOWER:
        search = Search(lower=lower, rounds=given.rounds)
        found[f"worst ({lower})"] = worst_case(one.target, one.every, size, search, job=Job(seed=one.seed)).rows
    losses = row_losses(one.target, one.every, Job())
    found["least loss"] = torch.sort(losses, stable=True).indices[:size].tolist()
    return found


def retrained_without(one: World, sets: Sequence[Splits], count: int) -> list[list[Model]]:
    """Train `count` models without each set, sets of one size together."""
    seeds = [10_000 * one.seed + 1 + k for _ in sets for k in range(count)]
    rows = [split.rows["retain"] for split in sets for _ in range(count)]
    models = [one.target.fresh(seed) for seed in seeds]
    fit_many(models, rows, [RECIPE.model_copy(update={"seed": seed}) for seed in seeds], job=Job())
    return [models[i : i + count] for i in range(0, len(models), count)]


def after(method: str, settings: Mapping[str, Any], one: World, split: Splits) -> Model:
    """Return the target after a method."""
    return unlearn(find("method", method).create(settings), one.target, split, job=Job(seed=one.seed))[0]


Numbers = dict[str, list[list[tuple[float, ...]]]]
"""By the model's name, a forget set: percent wrong of forget, retain and test rows, one a model of that name."""


def measured(worlds: Sequence[World], settings: Mapping[str, Any], given: argparse.Namespace) -> dict[str, Numbers]:
    """Return, by kind of set, what every model answers wrong."""
    table: dict[str, Numbers] = {}
    for one in worlds:
        sets = forget_sets(one, round(given.share * len(one.every)), given)
        splits = [one.split(chosen) for chosen in sets.values()]
        truth = retrained_without(one, splits, given.retrained)
        for name, split, models in zip(sets, splits, truth, strict=True):
            kind = name.partition(" ")[0] if name.startswith("random ") else name
            numbers = table.setdefault(kind, {})
            forget, retain = split.rows["forget"], split.rows["retain"]
            found = {"retrained": models, "do nothing": [one.target]}
            found |= {method: [after(method, settings[method], one, split)] for method in METHODS}
            for label, own in found.items():
                parts = [tuple(wrong(model, rows) for rows in (forget, retain, one.test)) for model in own]
                numbers.setdefault(label, []).append(parts)
            print(f"target {one.seed}, {name}: done", file=sys.stderr, flush=True)
    return table


def gaps(numbers: Numbers, label: str) -> list[tuple[float, float]]:
    """Return, a set, the gap in forget rows wrong and that over forget, retain and test rows, each a mean over retrained models."""
    found = []
    for own, truth in zip(numbers[label], numbers["retrained"], strict=True):
        pairs = [(a, b) for a in own for b in truth if a is not b]
        each = [fmean(abs(a[i] - b[i]) for a, b in pairs) for i in range(3)]
        found.append((each[0], fmean(each)))
    return found


def spread(values: Sequence[float]) -> str:
    """Return mean and standard deviation."""
    return f"{fmean(values):.1f} ± {stdev(values):.1f}" if len(values) > 1 else f"{values[0]:.1f}"


def tables(found: Mapping[str, Numbers]) -> list[str]:
    """Return a table of forget rows wrong and one of gaps to the retrained models, kinds of set as columns."""
    kinds, lines = list(found), []
    cells: dict[str, Callable[[Numbers, str], str]] = {
        "Forget rows answered wrong (%), and retain rows in brackets": lambda n, m: (
            f"{spread([fmean(v[0] for v in one) for one in n[m]])} ({fmean(v[1] for one in n[m] for v in one):.1f})"
        ),
        "Gap to each retrained model (points): forget rows, and the mean over forget, retain and test rows in brackets": lambda n, m: (
            f"{spread([g[0] for g in gaps(n, m)])} ({fmean(g[1] for g in gaps(n, m)):.1f})"
        ),
    }
    for title, cell in cells.items():
        lines += [f"{title}:", "", "| model | " + " | ".join(kinds) + " |", "|" + "---|" * (len(kinds) + 1)]
        for label in ("do nothing", "retrained", *METHODS):
            lines.append(f"| {label} | " + " | ".join(cell(found[kind], label) for kind in kinds) + " |")
        lines.append("")
    return lines


def by_class(one: World, given: argparse.Namespace) -> list[str]:
    """Return, a class, what is still answered right of it after each method, and which class the search chose."""
    labels = [int(row["label"]) for row in one.every]
    search = Search(rounds=given.rounds)
    chosen = worst_case(one.target, one.every, 1, search, job=Job(seed=one.seed), groups=labels).groups[0]
    lines = ["| method | " + " | ".join(f"{c}{' (chosen)' if c == chosen else ''}" for c in range(10)) + " |"]
    lines.append("|" + "---|" * 11)
    for method in METHODS:
        cells = []
        for label in range(10):
            split = one.split([i for i, own in enumerate(labels) if own == label])
            cells.append(f"{wrong(after(method, {}, one, split), split.rows['forget']):.1f}")
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return ["Class by class, one target without noise, rows of the class answered wrong (%; retrained: 100):", "", *lines, ""]  # fmt: skip


def main() -> None:
    """Print the tables, or write them into a page under its mark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", default="", help="mnist.npz; scikit-learn's digits without it")
    parser.add_argument("--rows", type=int, default=3000, help="MNIST's training images to use")
    parser.add_argument("--share", type=float, default=0.1, help="share of the rows to forget")
    parser.add_argument("--noise", default="0.2,0", help="shares of wrong labels, one table each")
    parser.add_argument("--seeds", type=int, default=5, help="targets")
    parser.add_argument("--random", type=int, default=5, help="random sets a target")
    parser.add_argument("--retrained", type=int, default=10, help="retrained models a set")
    parser.add_argument("--rounds", type=int, default=20, help="upper steps of the search")
    parser.add_argument("--classes", action="store_true", help="also class by class")
    parser.add_argument("--page", type=Path, help="write the tables into this page, under its mark")
    given = parser.parse_args()
    torch.set_num_threads(1)
    lines: list[str] = []
    for noise in map(float, given.noise.split(",")):
        worlds = [world(seed, noise, given) for seed in range(given.seeds)]
        size = round(given.share * len(worlds[0].every))
        fitted = fmean(100 - wrong(one.target, one.every) for one in worlds)
        settings, how = searched(noise, given)
        lines += [
            f"## {'MNIST' if given.data else 'Digits'}, {100 * noise:.0f}% of labels wrong",
            "",
            f"{size} of {len(worlds[0].every)} rows to forget, {given.seeds} targets (accuracy {fitted:.1f} on what they were trained on), "
            f"{given.random} random sets a target, {given.retrained} retrained models a set; mean ± standard deviation over sets.",
            "",
            how,
            "",
            "; ".join(f"{name}: {', '.join(f'{k}={v:.3g}' for k, v in own.items())}" for name, own in settings.items())
            + ".",
            "",
            *tables(measured(worlds, settings, given)),
        ]
        if given.classes and not noise:
            lines += by_class(worlds[0], given)
    text = "\n".join(lines).rstrip() + "\n"
    if given.page is None:
        print(text)
        return
    write_tables(given.page, "worst_case.py", text)


if __name__ == "__main__":
    main()
