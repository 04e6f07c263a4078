"""Corrective unlearning over the share of the poison that is known: python bench/corrective.py --out FOLDER. Resumes.

Every method gets the same search (trials, optimiser steps, rows a step) on problems of other seeds with a tenth known, then that one
setting at every share under the seeds that are reported, beside ten models a share and seed that are retrained without the known rows.
Prints the table and writes corrective.html with the curves. --search alone prints the settings that were chosen.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch
from markupsafe import Markup

from expunge.contract.apply import unlearn
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.registry import find, settings_of
from expunge.engine.fit_many import fit_many
from expunge.facts.digest import canonical_json
from expunge.facts.rows import Rows
from expunge.pipeline.search import ranges
from expunge.report.axes import marker
from expunge.report.figures import Line, curve
from expunge.store.atomic import write_atomic
from expunge.testbeds.poisoned import PoisonedDigits, poisoned_digits, recipe_of, untrained
from trials import until_idle

METHODS = ("ssd", "ebyd", "finetune", "random_label", "scrub", "bad_teacher", "ascent", "grad_diff")
KNOWN = (0.1, 0.25, 0.5, 1.0)
SEARCHED_AT, SEARCH_SEEDS, SEEDS = 0.1, (900, 901, 902), (0, 1, 2, 3, 4)
STEPS, BATCH, RETRAINED = 100, 32, 10
ALLOWED = 2.0
"""Points of clean accuracy that a setting may cost on the mean of the search's problems."""
Point = Mapping[str, float]


@cache
def problem(kind: str, seed: int) -> PoisonedDigits:
    """Return the problem of a seed; its target is trained once a call of this command."""
    return poisoned_digits(seed, kind=kind)


def measured(model: Model, of: PoisonedDigits) -> dict[str, float]:
    """Return clean and corrected accuracy, and the share answered as the manipulation wants, in percent."""
    clean, affected = of.rows(1.0)["test"], of.affected
    return {
        "clean": _share(model, clean, "label"),
        "corrected": _share(model, affected, "label"),
        "success": _share(model, affected, "attacker_label"),
    }


@torch.no_grad()
def _share(model: Model, rows: Rows, field: str) -> float:
    answers = model.logits(model.pack(rows)).argmax(-1).tolist()
    return 100 * mean(float(answer == row[field]) for answer, row in zip(answers, rows, strict=True))


def removed(name: str, settings: Mapping[str, Any], of: PoisonedDigits, known: float) -> Point:
    """Return what is measured after a method with these settings, under the budget; `retrain` trains again without the known rows."""
    splits = of.splits(known)
    if name == "retrain":
        return measured(of.trained(splits.rows["retain"], of.seed + 101), of)
    unit = find("method", name)
    given = dict(settings)
    if hasattr(getattr(unit.create(), "descent", None), "lr"):
        lead = len(splits.rows["forget" if "forget" in unit.about.needs else "retain"])
        given |= {"batch_size": BATCH, "max_steps": STEPS}
        if not unit.about.staged:
            given["epochs"] = math.ceil(STEPS / math.ceil(lead / BATCH))
    model, _ = unlearn(unit.create(given), of.target, splits, job=Job(seed=of.seed))
    return measured(model, of)


def retrained(kind: str, seed: int, known: float) -> list[Point]:
    """Return what is measured of each of the models retrained without the known rows, under seeds of their own."""
    of = problem(kind, seed)
    seeds = [1000 * (seed + 1) + i for i in range(RETRAINED)]
    models = [untrained(own) for own in seeds]
    recipes = [recipe_of(own) for own in seeds]
    fit_many(models, [of.splits(known).rows["retain"]] * RETRAINED, recipes, job=Job())
    return [measured(model, of) for model in models]


def drawn(name: str, seed: int) -> dict[str, Any]:
    """Return a setting of each thing that is searched for a method."""
    unit, draw = find("method", name), np.random.default_rng(seed)
    found: dict[str, Any] = {}
    for knob, (kind, *rest) in ranges(unit, settings_of(unit.create())).items():
        if kind == "choice":
            found[knob] = rest[int(draw.integers(len(rest)))]
        elif kind == "int":
            found[knob] = int(draw.integers(rest[0], rest[1] + 1))
        else:
            low, high = np.log(rest) if kind == "log" else rest
            value = float(draw.uniform(low, high))
            found[knob] = float(f"{math.exp(value) if kind == 'log' else value:.3g}")
    return found


def search(name: str, kind: str) -> dict[str, Any]:
    """Return the setting (the defaults among the trials) with the highest corrected accuracy that costs little clean accuracy.

    Where every setting costs more, the one that costs least.
    """
    problems = [problem(kind, seed) for seed in SEARCH_SEEDS]

    def trial(number: int) -> dict[str, Any]:
        settings = drawn(name, number) if number else {}
        points = [removed(name, settings, of, SEARCHED_AT) for of in problems]
        lost = mean(
            measured(of.target, of)["clean"] - point["clean"] for of, point in zip(problems, points, strict=True)
        )
        return {"settings": settings, "corrected": mean(point["corrected"] for point in points), "lost": lost}

    trials = until_idle(trial, worth)
    best = min(trials, key=worth)
    return best | {"trials": len(trials)}


def worth(trial: Mapping[str, Any]) -> tuple[bool, float]:
    """Return what a search brings down: a setting that costs little comes before one that costs more."""
    costly = trial["lost"] > ALLOWED
    return costly, trial["lost"] if costly else -trial["corrected"]


def kept(path: Path, make: Callable[[], Any]) -> Any:
    """Return what a file holds, or what `make` gives, which is then kept there."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, canonical_json(make()))
    return json.loads(path.read_text())


def anchors(again: Mapping[float, Sequence[Sequence[Point]]], target: Sequence[Point]) -> list[list[str]]:
    """Return the mean over the retrained models of each seed, and under it their standard deviation: the noise floor."""
    found = []
    for words, of in (("mean", mean), ("standard deviation", stdev)):
        cells = ["/".join(f"{of([one['corrected'] for one in each]):.1f}" for each in again[known]) for known in KNOWN]
        success = "/".join(f"{of([one['success'] for one in each]):.1f}" for each in again[KNOWN[0]])
        lost = "/".join(
            f"{of([was['clean'] - one['clean'] for one in each]):.1f}"
            for was, each in zip(target, again[KNOWN[0]], strict=True)
        )
        found.append([f"retrained ({RETRAINED}), {words}", *cells, success, lost, "-"])
    return found


def table(
    kind: str,
    points: Mapping[tuple[str, float], Sequence[Point]],
    again: Mapping[float, Sequence[Sequence[Point]]],
    chosen: Mapping[str, Any],
) -> str:
    """Return corrected accuracy seed by seed at every share, clean accuracy lost at the smallest, and the settings."""
    target = points["target", 0.0]
    head = ["method", *(f"corrected, {known:g} known" for known in KNOWN), f"success, {KNOWN[0]:g} known",
            f"clean lost, {KNOWN[0]:g} known", "settings"]  # fmt: skip
    lines = [head, ["---"] * len(head)]
    for name in ("target", "retrain", *METHODS):
        of = [points[name, known] if name != "target" else target for known in KNOWN]
        cells = ["/".join(f"{point['corrected']:.1f}" for point in each) for each in of]
        success = "/".join(f"{point['success']:.1f}" for point in of[0])
        lost = "/".join(f"{was['clean'] - point['clean']:.1f}" for was, point in zip(target, of[0], strict=True))
        settings = in_words(chosen[name]) if name in chosen else "-"
        lines.append(["target (do nothing)" if name == "target" else name, *cells, success, lost, settings])
        lines += anchors(again, target) if name == "target" else []
    clean = "/".join(f"{point['clean']:.1f}" for point in target)
    rows = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return f"## {kind}\n\nClean accuracy of the targets: {clean}. Each cell has the seeds {SEEDS}.\n\n{rows}\n"


def in_words(searched: Mapping[str, Any]) -> str:
    """Return the setting that a search chose, and how many trials it made."""
    settings = ", ".join(f"{k}={v}" for k, v in searched["settings"].items()) or "defaults"
    return f"{settings} ({searched['trials']} trials)"


def figure(kind: str, points: Mapping[tuple[str, float], Sequence[Point]], what: str) -> Markup:
    """Return curves of the mean over seeds, one method a line, and what the target has, which knows of no share."""
    nothing = mean(point[what] for point in points["target", 0.0])
    lines = [Line(label="do nothing", series="target", points=((KNOWN[0], nothing), (KNOWN[-1], nothing)))]
    for name, series in (("retrain", "control"), *((name, f"s{i}") for i, name in enumerate(METHODS))):
        at = tuple((known, mean(point[what] for point in points[name, known])) for known in KNOWN)
        lines.append(Line(label=name, series=series, points=at))
    drawing = curve(
        lines,
        title=f"{kind}: {what} accuracy",
        desc="mean over seeds, by the share known",
        x_label="share of the manipulated rows that is known",
        y_label=f"{what} accuracy (%)",
        span=(0, 100),
        width=520,
    )
    chip = Markup('<li><svg class="chip" viewBox="-6 -6 12 12" aria-hidden="true">{}</svg>{}</li>')
    legend = Markup().join(chip.format(marker(0, 0, one.series), one.label) for one in lines)
    return Markup(
        '<figure><figcaption>{}: {} accuracy, mean of {} seeds</figcaption>{}<ul class="legend">{}</ul></figure>'
    ).format(kind, what, len(SEEDS), drawing, legend)


def at(name: str, known: float, kind: str, settings: Mapping[str, Any], seed: int) -> Point:
    """Return what is measured of a method, or of the target, under a seed that is reported."""
    of = problem(kind, seed)
    return measured(of.target, of) if name == "target" else removed(name, settings, of, known)


def run(kind: str, folder: Path, *, only_search: bool) -> Sequence[Markup]:
    """Search, run every share and print the table of one kind; return its figures."""
    chosen = {name: kept(folder / "searched" / f"{name}.json", partial(search, name, kind)) for name in METHODS}
    print(f"chosen for {kind}: {json.dumps(chosen)}", flush=True)
    if only_search:
        return []
    todo = [("target", 0.0), *((name, known) for name in ("retrain", *METHODS) for known in KNOWN)]
    points: dict[tuple[str, float], Sequence[Point]] = {}
    for name, known in todo:
        settings = chosen[name]["settings"] if name in chosen else {}
        points[name, known] = [
            kept(folder / "points" / f"{name}-{known:g}-{seed}.json", partial(at, name, known, kind, settings, seed))
            for seed in SEEDS
        ]
    again = {
        known: [
            kept(folder / "points" / f"retrained-{known:g}-{seed}.json", partial(retrained, kind, seed, known))
            for seed in SEEDS
        ]
        for known in KNOWN
    }
    print(table(kind, points, again, chosen), flush=True)
    return [figure(kind, points, what) for what in ("corrected", "clean")]


def main() -> None:
    """Run every kind and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("corrective-run"))
    parser.add_argument("--kinds", default="backdoor,confusion")
    parser.add_argument("--search", action="store_true", help="only search, and print the settings")
    given = parser.parse_args()
    torch.set_num_threads(1)
    drawings = [one for kind in given.kinds.split(",") for one in run(kind, given.out / kind, only_search=given.search)]
    style = files("expunge.report").joinpath("templates", "style.css").read_text()
    page = Markup(
        '<!doctype html><meta charset="utf-8"><title>Corrective unlearning</title><style>{}</style><main>{}</main>'
    )
    if drawings:
        write_atomic(given.out / "corrective.html", page.format(Markup(style), Markup().join(drawings)).encode())


if __name__ == "__main__":
    main()
