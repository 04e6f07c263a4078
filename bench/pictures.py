"""Look at removals: python bench/pictures.py --out pictures.html. Decision regions, confusion matrices, and rows before and after.

A table of six clouds (one goes) and the 8x8 digits (the threes go); each with the target, a retrained model, and what methods made.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from markupsafe import Markup

from expunge.contract.apply import locate, unlearn
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.registry import find
from expunge.contract.splits import Splits
from expunge.engine.predict import predict
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Row, Rows
from expunge.modalities.array_tasks import Classification
from expunge.modalities.tabular import Features, tabular_model
from expunge.report.axes import rect, svg, text
from expunge.testbeds.problem import Problem, train_problem
from expunge.testbeds.vision import CLASS, class_problem

METHODS = ("finetune", "ascent", "random_label", "boundary_shrink", "ssd", "random_label+saliency")
COLOURS = ("#0072b2", "#d55e00", "#008a66", "#a3548c", "#b07800", "#6a4fb0", "#3d8fc4", "#8c564b", "#5a6168", "#c44e52")
CELLS, SIDE, EXTENT = 64, 200.0, 3.6
SHOWN = 14


def clouds() -> Problem:
    """Return six clouds around a circle, the first of which is to be forgotten."""
    draw = np.random.default_rng(0)
    rows = []
    for label in range(6):
        centre = 2 * np.array([np.cos(label * np.pi / 3), np.sin(label * np.pi / 3)])
        for i in range(40):
            point = (centre + 0.45 * draw.normal(size=2)).astype(np.float32)
            rows.append(Row(id=f"{label}/{i}", fields={"features": point, "label": label}))
    splits = Splits.of(forget=Rows(tuple(rows[:40])), retain=Rows(tuple(rows[40:])))
    blank = tabular_model("mlp", features=Features(width=2), task=Classification(classes=6), width=64, seed=100)
    return train_problem("clouds", splits, blank, Recipe(epochs=40, lr=1e-2, batch_size=32), retrained=1)


def unlearned(problem: Problem, name: str) -> Model:
    """Return what a method, `name` or `name+locator`, makes of the target under its own settings."""
    base, _, locator = name.partition("+")
    job = Job(seed=0, recipe=problem.recipe)
    if locator:
        job.mask = locate(find("locator", locator).create(), problem.target, problem.splits)
    return unlearn(find("method", base).create(), problem.target, problem.splits, job=job)[0]


def answers(model: Model, rows: Rows) -> np.ndarray:
    """Return the class that the model answers each row with."""
    return np.asarray(predict(model, rows, job=Job()).argmax(1))


def regions(model: Model, problem: Problem, name: str) -> Markup:
    """Draw which class each point of the plane is given, the forget rows as dark dots and the others as light ones."""
    at = (np.arange(CELLS) + 0.5) / CELLS * 2 * EXTENT - EXTENT
    plane = Rows(tuple(Row(id=f"{i}", fields={"features": np.array([x, -y], np.float32), "label": 0})
                       for i, (y, x) in enumerate((y, x) for y in at for x in at)))  # fmt: skip
    given, step = answers(model, plane).reshape(CELLS, CELLS), SIDE / CELLS
    parts = [text(0, 12, name, kind="name")]
    for line in range(CELLS):
        cuts = np.flatnonzero(np.diff(given[line])) + 1
        for start, stop in zip([0, *cuts], [*cuts, CELLS], strict=True):
            kind = f"region r{given[line, start]}"
            parts.append(rect(start * step, 20 + line * step, (stop - start) * step, step, kind))
    for split, kind in (("retain", "dot kept"), ("forget", "dot gone")):
        for row in problem.splits.rows[split]:
            x, y = row["features"]
            across, down = (x + EXTENT) / (2 * EXTENT) * SIDE, 20 + (EXTENT - y) / (2 * EXTENT) * SIDE
            parts.append(rect(across - 1.2, down - 1.2, 2.4, 2.4, kind))
    return svg(
        SIDE + 8, SIDE + 24, parts, title=f"Decision regions of {name}", desc="class by place", kind="figure panel"
    )


def confusion(model: Model, rows: Rows, name: str) -> Markup:
    """Draw how many rows of each class (down) are answered with each class (across)."""
    labels = np.array([row["label"] for row in rows])
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (labels, answers(model, rows)), 1)
    share, step = counts / counts.sum(1, keepdims=True).clip(1), SIDE / 10
    parts = [text(0, 12, name, kind="name")]
    parts += [text(22 + step * (i + 0.5), 32, str(i), kind="name", anchor="middle", size=10) for i in range(10)]
    for true in range(10):
        parts.append(
            text(
                14,
                40 + step * (true + 0.65),
                str(true),
                kind="name gone" if true == CLASS else "name",
                anchor="end",
                size=10,
            )
        )
        for said in range(10):
            tone = f"share q{min(9, int(10 * share[true, said]))}"
            parts.append(rect(22 + step * said, 38 + step * true, step - 1, step - 1, tone))
            if counts[true, said]:
                parts.append(
                    text(
                        22 + step * (said + 0.5),
                        38 + step * (true + 0.68),
                        str(counts[true, said]),
                        kind=f"in q{min(9, int(10 * share[true, said]))}",
                        anchor="middle",
                        size=9,
                    )
                )
    return svg(
        SIDE + 30, SIDE + 44, parts, title=f"Confusion of {name}", desc="rows by class and answer", kind="figure panel"
    )


def before_and_after(models: Sequence[tuple[str, Model]], rows: Rows) -> Markup:
    """Draw forget rows as images, and under each what every model answers."""
    shown, size = rows[:SHOWN], 44.0
    parts = []
    for i, row in enumerate(shown):
        image = np.asarray(row["image"])
        for y in range(8):
            for x in range(8):
                level = min(9, int(10 * float(image[y, x])))
                parts.append(
                    rect(
                        170 + i * (size + 6) + x * size / 8,
                        y * size / 8,
                        size / 8 + 0.3,
                        size / 8 + 0.3,
                        f"ink k{level}",
                    )
                )
    for line, (name, model) in enumerate(models):
        down = size + 20 + 22 * line
        parts.append(text(0, down, name, kind="name"))
        for i, said in enumerate(answers(model, shown)):
            kind = "answer gone" if said == CLASS else "answer"
            parts.append(text(170 + i * (size + 6) + size / 2, down, str(said), kind=kind, anchor="middle", size=14))
    width, height = 170 + SHOWN * (size + 6), size + 24 + 22 * len(models)
    return svg(
        width,
        height,
        parts,
        title="Rows to forget, and what each model answers",
        desc="one column a row",
        kind="figure wide",
    )


def style() -> str:
    """Return the page's own rules: a colour a class, shades for shares, grey for ink."""
    rules = [f".r{i} {{ fill: {colour}; opacity: .38 }}" for i, colour in enumerate(COLOURS)]
    rules += [
        f".q{i} {{ fill: rgb(0 114 178 / {0.04 + 0.1 * i:.2f}) }} text.q{i} {{ fill: {'#fff' if i > 5 else '#1d2125'} }}"
        for i in range(10)
    ]
    rules += [f".k{i} {{ fill: rgb(29 33 37 / {i / 9:.2f}) }}" for i in range(10)]
    return "\n".join((
        "body { font: 15px/1.5 system-ui, 'DejaVu Sans', sans-serif; color: #1d2125; background: #fbfaf8; margin: 1.5rem auto }",
            "body { max-width: 1080px } .region { shape-rendering: crispEdges }",
        "h2 { font-size: 1.15rem; margin: 1.6rem 0 .2rem } p { margin: 0 0 .6rem; color: #5a6168; max-width: 52rem }",
        ".row { display: flex; flex-wrap: wrap; gap: .9rem 1.1rem } svg.panel { width: 238px } svg.wide { width: 100% }",
        ".gone { fill: #d55e00; font-weight: 700 } .dot.kept { fill: #fff; opacity: .85 } .dot.gone { fill: #1d2125 }",
        *rules,
    ))  # fmt: skip


def main() -> None:
    """Train both problems, run every method on them, and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("pictures.html"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    table, digits = clouds(), class_problem("mlp", retrained=2, width=256)
    named = [
        [("target", one.target), *((name, unlearned(one, name)) for name in METHODS), ("retrained", one.retrained[0])]
        for one in (table, digits)
    ]
    rows = Rows((*digits.splits.rows["forget"][:40], *digits.splits.rows["test"]), "shown")
    sections = (
        ("Where each class is answered", "Six clouds of points; the dark one must go. Retraining hands its region to the neighbours.",
         [regions(model, table, name) for name, model in named[0]]),
        ("Who is taken for whom", "8x8 digits, the threes must go: 40 of them, and others' test rows. True class down, answer across.",
         [confusion(model, rows, name) for name, model in (*named[1], ("another retrained", digits.retrained[1]))]),
        ("Before and after", "Forget rows, and what each model answers. What retrained models say for 3 is the aim.",
         [before_and_after([*named[1], ("another retrained", digits.retrained[1])], digits.splits.rows["forget"])]),
    )  # fmt: skip
    body = "".join(
        f"<h2>{title}</h2><p>{words}</p><div class=row>{''.join(figures)}</div>" for title, words, figures in sections
    )
    given.out.write_text(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Removals, looked at</title>"
        f"<style>{style()}</style><body>{body}</body></html>"
    )
    print(given.out)


if __name__ == "__main__":
    main()
