"""A benchmark whose methods are searched first: the same budget for all, and what was chosen is what runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_directory import Command

from expunge.contract.registry import units
from expunge.facts.digest import read_json
from expunge.facts.record import Record
from expunge.pipeline.plan import MethodPlan
from expunge.pipeline.tuned import searchable
from expunge.store import chain
from expunge.store.store import Store

SMALL = ("share=0.05", "width=32", "epochs=12", "rounds=3", "passes=4", "lr=0.003", "seed=3")
WORDS = ("--methods", "retrain,finetune,ssd", "--seeds", "0", "--retrained-seeds", "101", "--quiet",
         *(word for one in SMALL for word in ("--set", one)))  # fmt: skip


def test_what_has_nothing_to_search_is_not_searched() -> None:
    """Fails if retraining or an ensemble is searched, a guard is, or a method with a range or a rate is left at its defaults."""
    found = {name: searchable(MethodPlan(name=name)) for name in units("method")}
    assert not any(found[name] for name in ("retrain", "sisa", "s3t"))
    assert all(found[name] for name in ("finetune", "ssd", "scrub", "ascent", "random_label", "ebyd", "iau", "imp"))
    assert not searchable(MethodPlan(name="refusal", guard=True))


def test_a_benchmark_runs_what_its_search_chose(tmp_path: Path, command: Command) -> None:
    """Fails if removals run at the defaults, the search sees forget rows or reported seeds, budgets differ, or the table does not say so.

    Both tables of a searched request have the settings of one search; retraining has none.
    """
    out = tmp_path / "out"
    given = ("--trials", "3", "--steps", "12", "--batch-size", "64", "--patience", "2")
    done = command("bench", "worst_case", *WORDS, *given, "--out", out)
    assert done.code == 0, done.err
    search = json.loads((out / "search.json").read_text())
    assert set(search["methods"]) == {"finetune", "ssd"}
    assert {len(one["trials"]) for one in search["methods"].values()} <= {2, 3}
    assert len({len(one["trials"]) for one in search["methods"].values()}) == 1
    use = {name: one["use"] for name, one in search["methods"].items()}
    assert (use["finetune"]["max_steps"], use["finetune"]["batch_size"]) == (12, 64)
    with Store.open(out / "store") as store:
        records = [
            Record.model_validate(read_json(store.objects.get(row.object)))
            for row in chain.rows(store.connection)
            if row.kind == "record"
        ]
    ran = [one for one in records if one.method.name in use]
    assert len(ran) == 4
    for one in ran:
        told = one.method.settings
        assert {name: told[name] for name in use[one.method.name]} == use[one.method.name], one.method.name
    for name in ("table.md", "table-random.md"):
        text = (out / name).read_text()
        assert (
            "Settings were searched alike for every method: at most 3 trials (its own settings among them) of 12 steps of 64 rows"
            in text
        )
    assert "Ended: " in (out / "search.md").read_text()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--trials", "-1"), "must be at least 1"),
        (("--trials", "2", "--steps", "0"), "must be at least 1"),
        (("--trials", "2", "--methods", "retrain"), "of retrain none has anything to search"),
        (("--trials", "2", "--seeds", "9100"), "the seeds [9100] are those that the plan reports under"),
    ],
)
def test_a_budget_that_cannot_be_is_refused_before_any_training(
    tmp_path: Path, command: Command, given: tuple[str, ...], message: str
) -> None:
    """Fails if a benchmark trains first, or settings are tuned on the seeds that its table reports."""
    done = command("bench", "worst_case", *WORDS, *given, "--out", tmp_path / "out")
    assert done.code == 2
    assert message in done.err
    assert not list(tmp_path.rglob("*.safetensors"))
