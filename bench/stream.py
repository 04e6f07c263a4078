"""Requests one after another: python bench/stream.py --data ../shared/data/omniglot --out FOLDER (without --data, classes of digits).

The model unlearned for one request is the target of the next. After each: accuracy on its rows, on the rows of earlier requests (do they
stay forgotten?), on retain and test rows, beside two models trained without all of them so far, and processor seconds. Every method gets
the same retain rows; with --missing N none of N classes that stay, which are measured apart. Every method's settings are searched first,
in as many trials as any other's, on requests that the table has not. A run that was stopped goes on; the folder gets stream.md and
stream.svg, and a page the table.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from markupsafe import Markup

from corrective import kept
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.registry import find
from expunge.engine.fit import fit
from expunge.facts.digest import canonical_json
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Row, Rows
from expunge.modalities.vision import Images, vision_model
from expunge.pipeline.benchmark import cell, write_table
from expunge.report.axes import marker, svg, text
from expunge.report.lines import Line, curve
from expunge.sources.digits import Digits
from expunge.sources.omniglot import Omniglot
from expunge.testbeds.streams import (
    Left,
    Request,
    by_method,
    by_training_again,
    follow,
    lacking,
    mean_earlier,
    mean_so_far,
    measure,
    requests_of,
    worst_earlier,
    worst_so_far,
)
from expunge.testbeds.vision import IMAGES
from pages import read_tables, write_tables
from stream_search import SEED, Validation, in_words, searched
from trials import MOST, PATIENCE

METHODS = "gs_lora,finetune,random_label,ascent,eu_k"
AGAIN = {"retrained": 100, "second retrained": 200}
"""Models trained again, and what is added to their seed; how far they lie apart is the noise floor."""
COLUMNS: Mapping[str, Callable[[Left], float | None]] = {
    "its rows": lambda left: left.forget,
    "earlier rows": mean_earlier,
    "earlier, worst": worst_earlier,
    "retain": lambda left: left.retain,
    "test": lambda left: left.test,
    "seconds": lambda left: left.seconds,
}
LACKING: Mapping[str, Callable[[Left], float | None]] = {
    "asked for so far": mean_so_far,
    "so far, worst": worst_so_far,
    "retain, given": lambda left: left.retain,
    "retain, missing": lambda left: left.missing,
    "test": lambda left: left.test,
    "seconds": lambda left: left.seconds,
}
WIDTH, HEIGHT = 440.0, 280.0


@dataclass(frozen=True)
class Stream:
    """Requests in order, how the target is trained, and other requests to search settings on (`unasked`)."""

    words: str
    train: Rows
    requests: tuple[Request, ...]
    unasked: tuple[Request, ...]
    blank: Callable[[int], Model]
    recipe: Recipe

    def target(self, seed: int) -> Model:
        """Return the target of a seed."""
        return fit(self.blank(seed), self.train, self.recipe.model_copy(update={"seed": seed}), job=Job(seed=seed))


def digits(count: int) -> Stream:
    """Return `count` classes of digits one after another, and a small vision transformer."""
    found = Digits(forget="class=3", holdout=0).run()
    train, test = (Rows((*found[a], *found[b])) for a, b in (("forget", "retain"), ("test", "test_forget")))
    order = [3, 8, 5, 1, 9, 0, 6, 2][:count]
    return Stream(
        f"Digits: the classes {', '.join(map(str, order))} in turn.",
        train,
        tuple(requests_of(train, test, [str(one) for one in order], lambda row: str(row["label"]))),
        tuple(requests_of(train, test, ["4", "7"], lambda row: str(row["label"]))),
        lambda seed: vision_model("vit", images=IMAGES, classes=10, seed=seed, patch=4, width=32, depth=4),
        Recipe(epochs=15, lr=4e-3, batch_size=64),
    )


def omniglot(data: Path, count: int) -> Stream:
    """Return requests over Omniglot and an MLP of three further layers: up to 4 are alphabets, more are one character each."""
    found = Omniglot(data=str(data), forget="alphabet=1").run()
    train, test = (Rows((*found[a], *found[b])) for a, b in (("forget", "retain"), ("test", "test_forget")))
    characters = 1 + max(int(row["label"]) for row in train)

    def of(row: Row) -> str:
        return str(row.group) if count <= 4 else f"character-{row['label']}"

    names = [f"alphabet-{i}" for i in range(1, count + 1)]
    others = [f"alphabet-{i}" for i in (0, *range(4, count, -1))][:2]
    if count > 4:
        names = [f"character-{i * characters // count}" for i in range(count)]
        left = [one for one in map("character-{}".format, range(characters)) if one not in names]
        others = left[:: len(left) // 4][:4]
    return Stream(
        f"Omniglot: {count} {'alphabets' if count <= 4 else 'characters'} in turn, of {characters} characters.",
        train,
        tuple(requests_of(train, test, names, of)),
        tuple(requests_of(train, test, others, of)),
        lambda seed: vision_model(
            "mlp",
            images=Images(shape=(1, 21, 21), mean=(0.1,), std=(0.25,)),
            classes=characters,
            seed=seed,
            width=256,
            depth=3,
        ),
        Recipe(epochs=60, lr=2e-3, batch_size=64),
    )


def own_folder(stream: Stream, given: argparse.Namespace) -> None:
    """Make the run's folder, or refuse one that holds another stream."""
    given.out.mkdir(parents=True, exist_ok=True)
    others = [one.name for one in stream.unasked]
    asked = canonical_json(
        [stream.words, len(stream.requests), given.few, given.missing, given.every, others, MOST, PATIENCE]
    )
    if kept(given.out / "settings.json", lambda: json.loads(asked)) != json.loads(asked):
        sys.exit(f"{given.out} holds another stream; give another --out")


def asked_under(requests: Sequence[Request], given: argparse.Namespace, seed: int) -> Sequence[Request]:
    """Return the requests as methods meet them under a seed: with what is missing, if anything is."""
    return lacking(requests, given.missing, seed) if given.missing else requests


def unasked(stream: Stream, given: argparse.Namespace) -> Validation:
    """Return what settings are searched on; methods get the retain rows that they get in the stream."""
    target, requests = stream.target(SEED), asked_under(stream.unasked, given, SEED)
    again = follow(target, requests, by_training_again(stream.recipe, SEED + AGAIN["retrained"]))
    return Validation(target, requests, again, given.few)


def shown(stream: Stream, every: int) -> list[int]:
    """Return the places of the requests that the table shows: each `every`th and the last."""
    last = len(stream.requests) - 1
    return [i for i in range(last + 1) if (i + 1) % every == 0 or i == last]


def run(
    stream: Stream, chosen: Mapping[str, Mapping[str, Any]], given: argparse.Namespace
) -> dict[str, list[dict[int, Left]]]:
    """Return what each model knows after each request, by name and seed; every finished way through the stream is kept.

    Models are trained again for the requests that the table shows: each from nothing, so that none needs those between.
    """
    found: dict[str, list[dict[int, Left]]] = {}
    target_of = cache(stream.target)
    places = {name: shown(stream, given.every) for name in AGAIN}

    def made(name: str, seed: int) -> list[dict[str, Any]]:
        target, requests = target_of(seed), asked_under(stream.requests, given, seed)
        if name == "target":
            lefts = [measure(target, request) for request in requests]
        elif name in AGAIN:
            again = by_training_again(stream.recipe, AGAIN[name] + seed)
            lefts = follow(target, [requests[i] for i in places[name]], again)
        else:
            unit = find("method", name.split()[0]).create(chosen[name])
            lefts = follow(target, requests, by_method(unit, seed=seed, few=given.few))
        print(f"{name} seed {seed} done", flush=True)
        return [asdict(left) for left in lefts]

    for seed in range(given.seeds):
        for name in ("target", *AGAIN, *chosen):
            lefts = [Left(**one) for one in kept(given.out / f"{name}-{seed}.json", partial(made, name, seed))]
            at = places.get(name, range(len(stream.requests)))
            found.setdefault(name, []).append(dict(zip(at, lefts, strict=True)))
    return found


def table(stream: Stream, found: Mapping[str, Sequence[Mapping[int, Left]]], every: int = 1) -> list[list[str]]:
    """Return rows of text: mean and range over seeds, a line a model and request, of which each `every`th and the last are shown."""
    columns = LACKING if found["target"][0][0].missing is not None else COLUMNS
    rows = [["request", "model", *columns]]
    for i in shown(stream, every):
        for name, seeds in found.items():
            cells = []
            for column, value in columns.items():
                values = [value(lefts[i]) for lefts in seeds]
                none = None in values or (column == "seconds" and name == "target")
                cells.append("-" if none else cell(values))
            rows.append([stream.requests[i].name, name, *cells])
    return rows


def figure(stream: Stream, found: Mapping[str, Sequence[Mapping[int, Left]]]) -> str:
    """Return three curves over the requests side by side, means over seeds, with the page's own style."""
    series = {"target": "target", **dict.fromkeys(AGAIN, "control")}
    series |= {name: f"s{i}" for i, name in enumerate(name for name in found if name not in series)}
    panels = {
        "accuracy on the request's rows": COLUMNS["its rows"],
        "most accuracy left on any request so far": worst_so_far,
        "accuracy on test rows that stay": COLUMNS["test"],
    }
    parts = []
    for place, (words, value) in enumerate(panels.items()):
        lines = []
        for name, seeds in found.items():
            points = []
            for i in range(len(stream.requests)):
                known = [y for y in (value(lefts[i]) for lefts in seeds if i in lefts) if y is not None]
                points += [(float(i + 1), fmean(known))] if known else []
            if points:
                lines.append(Line(label=name, series=series[name], points=tuple(points)))
        drawn = curve(lines, title=words, desc=words, x_label="requests so far", y_label=words)
        parts.append(Markup('<g transform="translate({} 0)">{}</g>').format(place * WIDTH, drawn))
    x = 46.0
    for name, kind in series.items():
        parts += [marker(x, HEIGHT + 12, kind), text(x + 10, HEIGHT + 16, name)]
        x += 44 + 6.2 * len(name)
    style = files("expunge.report").joinpath("templates/style.css").read_text()
    own = f"svg svg.figure {{ width: {WIDTH}px; height: {HEIGHT}px; }} :root {{ background: var(--card); }}"
    parts.insert(0, Markup("<style>{}{}</style>").format(Markup(style), Markup(own)))
    drawn = svg(3 * WIDTH, HEIGHT + 30, parts, title=stream.words, desc="Means over seeds.")
    return str(drawn).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)


def placed(tables: str, own: str) -> str:
    """Return a page's tables with this one in the place of the one under the same heading, or behind them."""
    parts = {
        part.partition("\n")[0]: part.strip() for part in [*f"\n{tables}".split("\n## ")[1:], own.removeprefix("## ")]
    }
    return "\n\n".join(f"## {part}" for part in parts.values()) + "\n"


def main() -> None:
    """Run the stream under every seed, print its table and write both."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="Omniglot's zip or its folder; without it, digits")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--methods", default=METHODS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--requests", type=int, default=4, help="digits: up to 8 classes; Omniglot: up to 4 alphabets, or characters"
    )
    parser.add_argument("--few", type=int, default=0, help="retain rows a class that methods get; 0 for all")
    parser.add_argument("--missing", type=int, default=0, help="classes that stay and of which methods get no row")
    parser.add_argument(
        "--every",
        type=int,
        default=1,
        help="the table shows each so many-th request and the last, and models are trained again for these",
    )
    parser.add_argument("--page", type=Path, help="write the table into this page too, under its mark")
    given = parser.parse_args()
    torch.set_num_threads(1)
    stream = digits(given.requests) if given.data is None else omniglot(given.data, given.requests)
    own_folder(stream, given)
    chosen = searched(given.methods.split(","), given.out / "searched", lambda: unasked(stream, given))
    found = run(stream, {name: one["settings"] for name, one in chosen.items()}, given)
    rows = f"{given.few} retain rows a class" if given.few else "all retain rows"
    sizes = ", ".join(f"{one.name} {len(one.forget)}" for one in stream.requests)
    last = stream.requests[-1]
    stay = len({row["label"] for row in last.retain})
    if given.missing:
        rows += f", none of {given.missing} classes of the {stay} that stay to the end"
    notes = [
        f"Methods get {rows}; {given.seeds} seeds, mean and range. Training rows {len(stream.train)}; forget rows {sizes}.",
        f"After the last request {len(last.retain)} retain rows and {len(last.test)} test rows are left.",
    ]
    if given.missing:
        notes.append("Missing classes are drawn anew under each seed; models trained again have their rows.")
    notes += [
        f"Settings of each method: the best of at most {MOST} trials, the defaults the first ({PATIENCE} in a row without gain end a "
        "search), on the requests "
        f"{', '.join(one.name for one in stream.unasked)} (target of seed {SEED}), none of which is asked here. Best: least mean",
        "gap in accuracy to a model trained again. "
        + "; ".join(in_words(name, one) for name, one in chosen.items())
        + ".",
    ]
    write_table(table(stream, found, given.every), given.out / "stream.md", f"{stream.words[:-1]}; {rows}", notes)
    (given.out / "stream.svg").write_text(figure(stream, found), encoding="utf-8")
    written = (given.out / "stream.md").read_text()
    print(written)
    if given.page is not None:
        write_tables(given.page, "stream.py", placed(read_tables(given.page, "stream.py"), f"#{written}"))


if __name__ == "__main__":
    main()
