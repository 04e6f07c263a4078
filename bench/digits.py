"""The digits bars: python bench/digits.py. Average gap to retrained models after forgetting a class, and a random tenth under label noise.

An MLP 64-256-256-10 on scikit-learn's digits (70/30), SGD .05 with momentum .9, 100 epochs. Settings of every method are searched on
problem seeds 900 and 901 under one budget; the problem seeds reported are 0, 1 and 2, with five method seeds each and ten retrained models.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch

from expunge.contract.apply import locate, unlearn
from expunge.contract.evidence import Evidence
from expunge.contract.job import Cache, Forgetful, Job, Remembering
from expunge.contract.model import Model
from expunge.contract.registry import find, settings_of, units
from expunge.contract.splits import Splits
from expunge.engine.distributions import right
from expunge.engine.fit_many import fit_many
from expunge.engine.predict import predict
from expunge.engine.told_apart import called_non_member
from expunge.facts.errors import ContractBroken, InputError
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Rows
from expunge.modalities.vision import vision_model
from expunge.pipeline.search import draw, ranges
from expunge.sources.digits import Digits
from expunge.testbeds.vision import CLASS, IMAGES
from pages import read_tables, write_tables

CASES: dict[str, dict[str, Any]] = {
    "class": {"forget": f"class={CLASS}"},
    "random": {"forget": "random=0.1", "label_noise": 0.2},
}
WORDS = {"class": "The threes", "random": "A random tenth, a fifth of the labels wrong"}
BARS = {"class": (1.5, 99.5), "random": (3.0, 0.0)}
RECIPE = Recipe(
    epochs=100, lr=0.05, optimiser="sgd", momentum=0.9, batch_size=64, schedule="constant", warmup=0.0, clip=None
)
TUNED, REPORTED = (900, 901), (0, 1, 2)
ANCHORS = ("| do nothing |", "| retrained (each beside the others) |")


@dataclass(frozen=True)
class Problem:
    """A target, retrained models and their numbers (UA, RA, TA, MIA in points of 100)."""

    splits: Splits
    target: Model
    retrained: tuple[Model, ...]
    numbers: np.ndarray
    seconds: float


def numbers_of(model: Model, rows: Mapping[str, Rows]) -> np.ndarray:
    """Return unlearning accuracy, retain accuracy, test accuracy and membership efficacy (an SVC on confidence), in points of 100."""
    found = Evidence(
        "one",
        "unlearned",
        "vision",
        rows,
        predictions={name: predict(model, each, job=Job()) for name, each in rows.items()},
    )
    accuracy = {name: float(right(found, name).mean()) for name in ("forget", "retain", "test")}
    return 100 * np.array(
        [1 - accuracy["forget"], accuracy["retain"], accuracy["test"], float(called_non_member(found).mean())]
    )


@cache
def problem(case: str, seed: int, retrained: int, by: str = "") -> Problem:
    """Train the target and retrained models of one problem seed, all in one loop.

    A method that acts before training (`by`) prepares them all in its own way, one after another, at its defaults.
    """
    found = Digits(**CASES[case], holdout=0.0, test=0.3, seed=seed).run()
    splits = Splits.of(**{name: found[name] for name in ("forget", "retain", "test")})
    blank = vision_model("mlp", images=IMAGES, classes=10, width=256, depth=1)
    every = Rows((*found["forget"], *found["retain"]), "training")
    models: list[Model] = [blank.fresh(1000 * seed + i) for i in range(1 + retrained)]
    recipes = [RECIPE.model_copy(update={"seed": 1000 * seed + i}) for i in range(1 + retrained)]
    each = [every, *[found["retain"]] * retrained]
    began = time.process_time()
    if by:
        prepare = find("method", by).create().prepare
        models = [
            prepare(model, rows, recipe, Job(seed=recipe.seed))
            for model, rows, recipe in zip(models, each, recipes, strict=True)
        ]
    else:
        fit_many(models, each, recipes, job=Job())
    seconds = time.process_time() - began
    numbers = np.stack([numbers_of(model, splits.rows) for model in models])
    return Problem(splits, models[0], tuple(models[1:]), numbers, seconds / len(models))


def problem_of(label: str, case: str, seed: int, retrained: int) -> Problem:
    """Return the problem that a method meets: with a target of its own, and retrained models like it, where it acts before training."""
    name = label.partition("+")[0]
    return problem(case, seed, retrained, name if find("method", name).about.before_training else "")


def gap(numbers: np.ndarray, retrained: np.ndarray) -> float:
    """Return the average over the four numbers of |difference|, and that over the retrained models one by one."""
    return float(np.abs(numbers - retrained).mean())


def removed(
    label: str, settings: Mapping[str, Any], at: Problem, seed: int, cache: Cache | None = None
) -> tuple[Model, float]:
    """Return what a method made of the target, and the processor seconds it took: all of them, where no cache is given."""
    name, _, locator = label.partition("+")
    job = Job(seed=seed, recipe=RECIPE, cache=Forgetful() if cache is None else cache)
    began = time.process_time()
    if locator:
        job.mask = locate(find("locator", locator).create(), at.target, at.splits)
    model = unlearn(find("method", name).create(dict(settings)), at.target, at.splits, job=job)[0]
    return model, time.process_time() - began


def search(label: str, case: str, trials: int) -> dict[str, Any]:
    """Return the settings with the least average gap on the tuning problems; the first trial has the settings as they are."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    unit = find("method", label.partition("+")[0])
    start = settings_of(unit.create())
    space = ranges(unit, start)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=9000))
    if space:
        study.enqueue_trial(
            {
                name: start[name]
                for name, (kind, *rest) in space.items()
                if kind == "choice" or rest[0] <= start[name] <= rest[1]
            }
        )
    best: tuple[float, dict[str, Any]] = (float("inf"), {})
    kept = Remembering()
    for _ in range(trials if space else 1):
        asked = study.ask()
        drawn = draw(asked, space) | ({"batch_size": 64} if "batch_size" in start and start["batch_size"] > 1 else {})
        try:
            values = []
            for seed in TUNED:
                at = problem_of(label, case, seed, 3)
                model, _ = removed(label, drawn, at, 9000 + seed, kept)
                values.append(gap(numbers_of(model, at.splits.rows), at.numbers[1:]))
            value = mean(values)
        except (ContractBroken, InputError) as refused:
            value = 100.0
            print(f"  {label}: {refused}", flush=True)
        study.tell(asked, value)
        if value < best[0]:
            best = (value, drawn)
    return {"settings": best[1], "tuned_gap": best[0]}


def methods() -> list[str]:
    """Return every method for images whose removal has settings, or that acts after training, and relabelling under the saliency mask."""
    found = [
        name
        for name, unit in units("method").items()
        if "vision" in unit.about.modalities and (unit.about.search or not unit.about.before_training)
    ]
    return [name for name in found if name not in ("retrain", "needle")] + ["random_label+saliency"]


def report(case: str, labels: Sequence[str], given: argparse.Namespace) -> None:
    """Search, run and print one case."""
    kept = given.out / f"{case}.json"
    done: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
    for label in labels:
        if label in done:
            continue
        found = search(label, case, given.trials)
        rows, seconds = [], []
        try:
            for seed in REPORTED:
                at = problem_of(label, case, seed, 10)
                for own in range(5):
                    model, spent = removed(label, found["settings"], at, own)
                    numbers = numbers_of(model, at.splits.rows)
                    rows.append([seed, own, gap(numbers, at.numbers[1:]), *numbers.tolist()])
                    seconds.append(spent)
        except (ContractBroken, InputError) as refused:
            done[label] = {**found, "refused": str(refused)}
        else:
            done[label] = {**found, "rows": rows, "seconds": mean(seconds)}
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(done))
        print(
            case,
            label,
            "tuned",
            round(found["tuned_gap"], 2),
            "reported",
            round(mean(r[2] for r in rows), 2) if rows else "refused",
            flush=True,
        )
    print(table(case, done))


def kept_rows(tables: str, case: str) -> dict[str, str]:
    """Return the lines of methods in a page's table of a case, by method."""
    section = tables.partition(f"## {WORDS[case]}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ") and not line.startswith(ANCHORS)]
    return {line.split(" | ")[0].removeprefix("| "): line for line in lines if not line.startswith(f"| {case} |")}


def table(case: str, done: Mapping[str, Any], kept: Mapping[str, str] | None = None) -> str:
    """Return the table of a case between its anchors, best first: the methods `done`, and the lines `kept` of others."""
    problems = [problem(case, seed, 10) for seed in REPORTED]
    bar, least = BARS[case]

    def line(name: str, gaps: Sequence[float], numbers: np.ndarray, words: str) -> str:
        cells = " | ".join(f"{value:.1f}" for value in numbers)
        return f"| {name} | {mean(gaps):.2f} [{min(gaps):.2f}, {max(gaps):.2f}] | {cells} | {words} |"

    floor = [gap(one, np.delete(at.numbers[1:], i, axis=0)) for at in problems for i, one in enumerate(at.numbers[1:])]
    nothing = [gap(at.numbers[0], at.numbers[1:]) for at in problems]
    again = f"{mean(at.seconds for at in problems):.2f} s"
    lines = [
        f"| {case} | average gap | UA | RA | TA | MIA | settings, seconds |",
        "|---|---|---|---|---|---|---|",
        line("do nothing", nothing, np.mean([at.numbers[0] for at in problems], axis=0), "-"),
        line(
            "retrained (each beside the others)",
            floor,
            np.mean([at.numbers[1:].mean(0) for at in problems], axis=0),
            again,
        ),
    ]
    found = dict(kept or {})
    scored = {label: np.array(one["rows"]) for label, one in done.items() if "rows" in one}
    for label, rows in scored.items():
        each = [float(rows[rows[:, 0] == seed, 2].mean()) for seed in REPORTED]
        numbers = rows[:, 3:].mean(0)
        met = "**met** " if mean(each) <= bar and numbers[1] >= least else ""
        words = ", ".join(
            f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in done[label]["settings"].items()
        )
        found[label] = line(label, each, numbers, f"{met}{words}; {done[label]['seconds']:.2f} s")
    found |= {
        label: f"| {label} | refused: {one['refused']} | | | | | |" for label, one in done.items() if "refused" in one
    }
    return "\n".join((*lines, *sorted(found.values(), key=_place)))


def _place(line: str) -> float:
    first = line.split(" | ")[1].split(" ")[0]
    return float("inf") if first == "refused:" else float(first)


def main() -> None:
    """Run the cases and methods asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("digits-run"))
    parser.add_argument("--cases", default="class,random")
    parser.add_argument("--methods", default="")
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--page", type=Path, help="write the run's methods into this page's tables, and run nothing")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.page is not None:
        old = read_tables(given.page, "digits.py")
        tables = [
            f"## {WORDS[case]}\n\n{table(case, json.loads((given.out / f'{case}.json').read_text()), kept_rows(old, case))}\n"
            for case in CASES
        ]
        write_tables(given.page, "digits.py", "\n".join(tables))
        return
    for case in given.cases.split(","):
        report(case, given.methods.split(",") if given.methods else methods(), given)


if __name__ == "__main__":
    main()
