"""Edges of requests on tables through `expunge run`: a plan that cannot be run trains nothing; others are served."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from array_rows import FORGET, HOLDOUT, RETAIN, Items, changed, refused
from tiny_directory import Command, Done, files_under, write_jsonl

PLAN = """
[request]
id = "mine"
source = "records"
settings = { forget = "forget.jsonl", retain = "retain.jsonl", holdout = "holdout.jsonl" }
[model]
architecture = "mlp"
settings = { width = 16 }
[recipe]
epochs = 40
lr = 1e-2
batch_size = 16
[[method]]
name = "acu"
METHODS
[verify]
attacks = ["direct_question", "loss"]
[seeds]
retrained = [101]
"""
SCRUB = '[[method]]\nname = "scrub"\n'
SISA = '[[method]]\nname = "sisa"\nsettings = { shards = 3, slices = 2 }\n'
Run = Callable[..., Done]


@pytest.fixture
def run(command: Command, tmp_path: Path) -> Run:
    """Run a plan that trains a table's model on rows written beside it."""

    def go(*, methods: str = "", settings: str = "", forget: Items = FORGET, retain: Items | None = RETAIN,
           holdout: Items | None = HOLDOUT) -> Done:  # fmt: skip
        text = PLAN.replace("METHODS", methods).replace("width = 16", f"width = 16{settings}")
        for name, rows in (("forget", forget), ("retain", retain), ("holdout", holdout)):
            if rows is None:
                text = text.replace(f', {name} = "{name}.jsonl"', "")
            else:
                write_jsonl(tmp_path / f"{name}.jsonl", rows)
        (tmp_path / "plan.toml").write_text(text)
        return command("run", tmp_path / "plan.toml", "--store", tmp_path / "store", "--json", "--quiet")

    return go


def numbers(rows: Items) -> Items:
    """Return the rows with a number to be predicted."""
    return [{**row, "label": row["label"] + row["features"][0]} for row in rows]


NUMBERS = {"forget": numbers(FORGET), "retain": numbers(RETAIN), "holdout": numbers(HOLDOUT)}
PLANS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "negative label": ({"holdout": changed(HOLDOUT, 1, label=-1)}, ("'held-1'", "the label -1 is outside 0..3")),
    "huge label": ({"forget": changed(FORGET, 1, label=10**9)}, ("a network of 1000000001 classes", "mistyped")),
    "fraction": ({"forget": changed(FORGET, 1, label=1.5)}, ("'point-1'", "1.5 is no whole number")),
    "one class": ({"forget": [{**r, "label": 0} for r in FORGET], "retain": [{**r, "label": 0} for r in RETAIN],
                   "holdout": [{**r, "label": 0} for r in HOLDOUT]}, ("1 classes are nothing to tell apart",)),
    "NaN target": ({**NUMBERS, "retain": changed(NUMBERS["retain"], 3, label=math.nan)}, ("retain.jsonl:4", "'label' is nan")),
    "infinite target": ({**NUMBERS, "forget": changed(NUMBERS["forget"], 3, label=math.inf)}, ("forget.jsonl:4", "'label' is inf")),
    "one retain target": ({**NUMBERS, "retain": NUMBERS["retain"][:1]}, ("cannot be standardised", "there is one retain row")),
    "no retain rows": ({"retain": None}, ("there are no retain rows to train a model on",)),
    "width": ({"holdout": changed(HOLDOUT, 2, features=[0.0] * 11)}, ("'held-2'", "(11,), the model reads (12,)")),
    "texts": ({"holdout": [{"id": "t", "question": "Who?", "answer": "Ana"}]}, ("gives text rows, and this is a tabular model",)),
    "classes of a regression": ({**NUMBERS, "methods": SCRUB}, ("scrub needs logits", "expunge units")),
    "in holdout": ({"holdout": [*HOLDOUT, {**FORGET[3], "id": "x"}]}, ("'x' of holdout is also row 'point-3' of forget",)),
}  # fmt: skip


@pytest.mark.parametrize("kind", PLANS)
def test_a_plan_that_cannot_be_run_trains_nothing(run: Run, tmp_path: Path, kind: str) -> None:
    """Fails if a bad row, or a method that the model's kind cannot serve, is met after the target was trained."""
    given, wanted = PLANS[kind]
    message = refused(run(**given), tmp_path)
    for part in wanted:
        assert part in message


def by_label(done: Done) -> dict[str, dict[str, Any]]:
    assert done.code == 0, done.err
    return {record["request"]["label"]: record for record in json.loads(done.out)}


def test_a_class_goes_by_exact_methods_and_the_run_again_is_the_same(run: Run, tmp_path: Path) -> None:
    """Fails if a class without a retained example loses its output, an exact method is not exact, or a second run does work again."""
    rows = [*FORGET, *RETAIN]
    given = {"forget": [r for r in rows if r["label"] == 3], "retain": [r for r in rows if r["label"] != 3]}
    done = run(methods=SISA, **given)
    found = by_label(done)
    for name in ("acu-0", "sisa-0"):
        record = found[name]
        assert record["method"]["provenance"] == "exact"
        accuracy = {
            (m["model"], m["split"]): m["score"]["value"] for m in record["measurements"] if m["metric"] == "accuracy"
        }
        assert accuracy["unlearned", "forget"] == 0
        assert accuracy["target", "forget"] > 0.3
    before = {name: (tmp_path / name).stat().st_mtime_ns for name in files_under(tmp_path) if "pieces" in name}
    again = run(methods=SISA, **given)
    assert again.out == done.out
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in files_under(tmp_path) if "pieces" in name} == before


def test_an_exact_regression_is_measured(run: Run) -> None:
    """Fails if a regression with an analytic head, or of shards, is asked for logits where its prediction is wanted."""
    found = by_label(run(methods=SISA, **NUMBERS))
    for name in ("acu-0", "sisa-0"):
        record = found[name]
        assert record["method"]["provenance"] == "exact"
        errors = {
            (m["model"], m["split"]): m["score"]["value"]
            for m in record["measurements"]
            if m["metric"] == "prediction_error"
        }
        assert 0 < errors["target", "forget"] < errors["unlearned", "forget"]
    assert record["overlap"] == {"retain_rows": 48, "equal_arrays": 0, "ids": []}
