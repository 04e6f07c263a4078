"""The LUME protocol: names that are there, sizes in the plan, and a small run on made-up documents and people."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from expunge.benchmarks.lume import LumeBenchmark
from expunge.facts.errors import InputError
from expunge.facts.record import Record
from expunge.pipeline.benchmark import benchmark_plan, check_benchmark, table
from expunge.pipeline.columns import value_of
from expunge.pipeline.run import run_plan
from expunge.store.store import Store

SYLLABLES = ("lo", "mi", "ra", "te", "sul", "por", "fen", "gar")


def test_protocol_names_units_that_are_there(tmp_path: Path) -> None:
    """Fails if a metric, method or attack of the protocol is misspelt, or a folder that is not there is accepted."""
    protocol = LumeBenchmark().run(tmp_path)
    check_benchmark(protocol)
    benchmark_plan("lume", protocol, protocol.methods, seeds=(0,), retrained=(101,))
    for missing in (None, tmp_path / "nowhere"):
        with pytest.raises(InputError, match="there is no folder"):
            LumeBenchmark().run(missing)


def test_sizes_reach_the_plan(tmp_path: Path) -> None:
    """Fails if a number of documents, the draw or a recipe setting is dropped on the way, or retain rows are sampled."""
    protocol = LumeBenchmark(forget_documents=5, test_documents=3, draw=9, width=64, lr=1e-3).run(tmp_path)
    plan = benchmark_plan("lume", protocol, ["npo"], seeds=(0,), retrained=(101,))
    settings = plan.request.settings
    assert (settings["forget_documents"], settings["test_documents"], settings["seed"]) == (5, 3, 9)
    assert (plan.model.settings["hidden_size"], plan.model.settings["num_attention_heads"]) == (64, 2)
    assert plan.recipe is not None
    assert (plan.recipe.lr, plan.verify.retain_rows) == (1e-3, 4000)


def made_up(folder: Path) -> Path:
    """LUME's two files with documents of invented words (Task1) and people with a number and a town (Task2)."""
    draw = random.Random(0)

    def word() -> str:
        return "".join(draw.choices(SYLLABLES, k=2))

    for name, count in (("forget", 8), ("retain", 28)):
        records = []
        for i in range(count):
            hero, text = f"{word()}{name[0]}{i}".capitalize(), [word() for _ in range(16)]
            number, town = str(draw.randint(1000, 9999)), word().capitalize()
            tests = (
                ("Task1", "sc1", f"The tale of {hero}: {' '.join(text[:4])}", " ".join(text[4:])),
                ("Task1", "qa0", f"Which word begins the tale of {hero}?", text[0]),
                ("Task2", "sc1", f"{hero} was born in", f"{town}. The number of {hero} is {number}."),
                ("Task2", "qa0", f"What is the number of {hero}?", number),
                ("Task2", "qa1", f"Where was {hero} born?", town),
            )
            records += [
                {"id": f"{name}-{task}-{i}{item}", "input": prompt, "output": answer, "task": task}
                for task, item, prompt, answer in tests
            ]
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, records)))
    return folder


def cells(record: Record, column: str) -> dict[str, float]:
    """What was measured of each model; a cell without a value fails here."""
    found = {model.name: value_of(record, model.name, column) for model in record.models}
    assert None not in found.values(), (column, found)
    return {name: value for name, value in found.items() if value is not None}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_target_knows_and_retrained_does_not(tmp_path: Path) -> None:
    """The ruler, and what the aggregate makes of it: 0 for the target, and a value for a model that was never asked to forget.

    Fails if forget documents are not learnt or retrained models are trained on them, test documents are not in every training set, holdout
    documents are in one, or the aggregate of the target is not 0.
    """
    protocol = LumeBenchmark(
        forget_documents=8, retain_documents=12, holdout_documents=8, test_documents=8, width=64, epochs=120, lr=8e-3
    ).run(made_up(tmp_path))
    settings = {**protocol.settings, "model": {**protocol.settings["model"], "vocabulary": 384}, "max_new_tokens": 64}
    columns = tuple(column for column in protocol.columns if column.startswith("lume_"))
    chosen = replace(protocol, settings=settings, attacks=("direct_question", "loss"), columns=columns)
    plan = benchmark_plan("lume", chosen, ["grad_diff"], seeds=(0,), retrained=(101, 102))
    with Store.open(tmp_path / "store") as store:
        records = run_plan(plan, store, run_id="one", base=tmp_path)
    nothing, _, removed = records
    assert len(table(records, columns)) == 1 + 4 + 3
    again = ("retrained-0", "retrained-1")
    for column, known in (("lume_regurgitation:forget", 0.5), ("lume_knowledge:forget", 0.3)):
        found = cells(nothing, column)
        assert found["target"] > 0.95
        assert max(found[name] for name in again) < known
    for column in ("lume_regurgitation:retain", "lume_knowledge:retain", "lume_knowledge:test"):
        found = cells(nothing, column)
        assert min(found[name] for name in ("target", *again)) > 0.9
    assert max(cells(nothing, "lume_knowledge:holdout")[name] for name in ("target", *again)) < 0.3
    assert cells(nothing, "lume_membership:forget")["target"] < 0.05
    aggregate = cells(nothing, "lume_aggregate:task_aggregate")
    assert aggregate["target"] < 0.3 < min(aggregate[name] for name in again)
    assert (
        cells(removed, "lume_regurgitation:forget")["unlearned"] < cells(nothing, "lume_regurgitation:forget")["target"]
    )
