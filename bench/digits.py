"""The digits bars: python bench/digits.py. Average gap to retrained models after forgetting a class, and a random tenth under label noise.

Scikit-learn's digits (70/30), SGD .05 with momentum .9: an MLP 64-256-256-10 of 100 epochs, and the small CNN of 30. Settings of every
method are searched on problem seeds 900 and 901 under one budget; five problem seeds are reported, with five method seeds each and ten
retrained models.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
from trials import until_idle

RECIPE = Recipe(
    epochs=100, lr=0.05, optimiser="sgd", momentum=0.9, batch_size=64, schedule="constant", warmup=0.0, clip=None
)


@dataclass(frozen=True)
class Case:
    """What is to be forgotten, the bar (gap at most, retain accuracy at least), and the models."""

    words: str
    source: Mapping[str, Any]
    bar: tuple[float, float] | None
    network: str = "mlp"
    shape: Mapping[str, int] = field(default_factory=lambda: {"width": 256, "depth": 1})
    recipe: Recipe = RECIPE


OF_CLASS, OF_ROWS = {"forget": f"class={CLASS}"}, {"forget": "random=0.1", "label_noise": 0.2}
SMALL_CNN: dict[str, Any] = {"network": "cnn", "shape": {}, "recipe": RECIPE.model_copy(update={"epochs": 30})}
CASES = {
    "class": Case("The threes", OF_CLASS, (1.5, 99.5)),
    "random": Case("A random tenth, a fifth of the labels wrong", OF_ROWS, (3.0, 0.0)),
    "class_cnn": Case("A small CNN: the threes", OF_CLASS, None, **SMALL_CNN),
    "random_cnn": Case("A small CNN: a random tenth, a fifth of the labels wrong", OF_ROWS, None, **SMALL_CNN),
}
TUNED, REPORTED, RETRAINED = (900, 901), (0, 1, 2, 3, 4), 10
ANCHORS = ("| do nothing |", "| retrained (each beside the others) |")


@dataclass(frozen=True)
class Problem:
    """A target, retrained models and their numbers (UA, RA, TA, MIA in points of 100)."""

    splits: Splits
    recipe: Recipe
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
def problem(case: str, seed: int, by: str = "") -> Problem:
    """Train the target and retrained models of one problem seed, all in one loop.

    A method that acts before training (`by`) prepares them all in its own way, one after another, at its defaults.
    """
    of = CASES[case]
    found = Digits(**of.source, holdout=0.0, test=0.3, seed=seed).run()
    splits = Splits.of(**{name: found[name] for name in ("forget", "retain", "test")})
    blank = vision_model(of.network, images=IMAGES, classes=10, **of.shape)
    every = Rows((*found["forget"], *found["retain"]), "training")
    models: list[Model] = [blank.fresh(1000 * seed + i) for i in range(1 + RETRAINED)]
    recipes = [of.recipe.model_copy(update={"seed": 1000 * seed + i}) for i in range(1 + RETRAINED)]
    each = [every, *[found["retain"]] * RETRAINED]
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
    return Problem(splits, of.recipe, models[0], tuple(models[1:]), numbers, seconds / len(models))


def problem_of(label: str, case: str, seed: int) -> Problem:
    """Return the problem that a method meets: with a target of its own, and retrained models like it, where it acts before training."""
    name = label.partition("+")[0]
    return problem(case, seed, name if find("method", name).about.before_training else "")


def gap(numbers: np.ndarray, retrained: np.ndarray) -> float:
    """Return the average over the four numbers of |difference|, and that over the retrained models one by one."""
    return float(np.abs(numbers - retrained).mean())


def removed(
    label: str, settings: Mapping[str, Any], at: Problem, seed: int, cache: Cache | None = None
) -> tuple[Model, float]:
    """Return what a method made of the target, and the processor seconds it took: all of them, where no cache is given."""
    name, _, locator = label.partition("+")
    job = Job(seed=seed, recipe=at.recipe, cache=Forgetful() if cache is None else cache)
    began = time.process_time()
    if locator:
        job.mask = locate(find("locator", locator).create(), at.target, at.splits)
    model = unlearn(find("method", name).create(dict(settings)), at.target, at.splits, job=job)[0]
    return model, time.process_time() - began


def search(label: str, case: str, trials: int, patience: int) -> dict[str, Any]:
    """Return the settings with the least average gap on the tuning problems; the first trial has the settings as they are.

    It ends after `trials`, or once `patience` in a row brought the gap no lower.
    """
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
    kept = Remembering()

    def trial(_: int) -> tuple[float, dict[str, Any]]:
        asked = study.ask()
        drawn = draw(asked, space) | ({"batch_size": 64} if "batch_size" in start and start["batch_size"] > 1 else {})
        try:
            values = []
            for seed in TUNED:
                at = problem_of(label, case, seed)
                model = removed(label, drawn, at, 9000 + seed, kept)[0]
                values.append(gap(numbers_of(model, at.splits.rows), at.numbers[1:]))
            value = mean(values)
        except (ContractBroken, InputError) as refused:
            value = 100.0
            print(f"  {label}: {refused}", flush=True)
        study.tell(asked, value)
        return value, drawn

    tried = until_idle(trial, lambda one: one[0], most=trials if space else 1, patience=patience)
    least, settings = min(tried, key=lambda one: one[0])
    return {"settings": settings, "tuned_gap": least, "trials": len(tried)}


def told(page: Path, case: str) -> dict[str, dict[str, Any]]:
    """Return the settings that a page's table of a case tells, by method; a method that refused has none."""
    found: dict[str, dict[str, Any]] = {}
    for label, line in kept_rows(read_tables(page, "digits.py"), case).items():
        if " | refused: " in line:
            continue
        words = line.rstrip(" |").rpartition(" | ")[2].removeprefix("**met** ").partition(";")[0]
        pairs = (one.split(" ") for one in words.split(", ") if one)
        found[label] = {name: json.loads(value) for name, value in pairs}
    return found


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
        if given.settings is None:
            found = search(label, case, given.trials, given.patience)
        else:
            found = {"settings": told(given.settings, case)[label], "tuned_gap": float("nan")}
        rows, seconds = [], []
        try:
            for seed in REPORTED:
                at = problem_of(label, case, seed)
                for own in range(5):
                    model, spent = removed(label, found["settings"], at, own)
                    numbers = numbers_of(model, at.splits.rows)
                    rows.append([seed, own, gap(numbers, at.numbers[1:]), *numbers.tolist()])
                    seconds.append(spent)
        except (ContractBroken, InputError) as refused:
            done[label] = {**found, "refused": " ".join(str(refused).split())}
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
    section = tables.partition(f"## {CASES[case].words}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ") and not line.startswith(ANCHORS)]
    return {line.split(" | ")[0].removeprefix("| "): line for line in lines if not line.startswith(f"| {case} |")}


def table(case: str, done: Mapping[str, Any], kept: Mapping[str, str] | None = None) -> str:
    """Return the table of a case between its anchors, best first: the methods `done`, and the lines `kept` of others."""
    problems = [problem(case, seed) for seed in REPORTED]
    bar, least = CASES[case].bar or (-1.0, 0.0)

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
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--methods", default="")
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--patience", type=int, default=8, help="trials in a row without gain that end a search")
    parser.add_argument(
        "--settings", type=Path, help="search nothing: take each method's settings from this page's tables"
    )
    parser.add_argument("--page", type=Path, help="write the run's methods into this page's tables, and run nothing")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.page is not None:
        old = read_tables(given.page, "digits.py")
        tables = []
        for case, of in CASES.items():
            run = given.out / f"{case}.json"
            done = json.loads(run.read_text()) if run.exists() else {}
            tables.append(f"## {of.words}\n\n{table(case, done, kept_rows(old, case))}\n")
        write_tables(given.page, "digits.py", "\n".join(tables))
        return
    for case in given.cases.split(","):
        every = methods() if given.settings is None else list(told(given.settings, case))
        report(case, given.methods.split(",") if given.methods else every, given)


if __name__ == "__main__":
    main()
