"""The protocol on alphabets as a plan, and a small run on the real drawings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_directory import call

from expunge.benchmarks.omniglot import OmniglotBenchmark
from expunge.facts.errors import InputError
from expunge.pipeline.benchmark import benchmark_plan, check_benchmark


def test_settings_reach_the_plan(tmp_path: Path) -> None:
    """Fails if earlier requests do not reach the plan, or what is left of them is not in the table."""
    letters = OmniglotBenchmark(forget="alphabet=3", earlier="0,1", epochs=4).run(tmp_path)
    check_benchmark(letters)
    plan = benchmark_plan("omniglot", letters, ("finetune",), seeds=(0,), retrained=(101,))
    assert plan.request.settings == {"data": str(tmp_path), "forget": "alphabet=3", "earlier": "0,1"}
    assert plan.recipe is not None
    assert plan.recipe.epochs == 4
    assert "accuracy:forget/earlier" in letters.columns
    assert "accuracy:forget/earlier" not in OmniglotBenchmark().run(tmp_path).columns
    with pytest.raises(InputError, match="there is no"):
        OmniglotBenchmark().run(tmp_path / "none")


def test_the_ruler_on_real_drawings(shared_data: Path, tmp_path: Path) -> None:
    """A model that never saw an alphabet answers with none of its characters. Fails if forget rows reach it, or others are not learnt."""
    done = call("bench", "omniglot", "--data", shared_data / "omniglot", "--methods", "ascent", "--seeds", "0", "--retrained-seeds",
                "101,102", "--set", "epochs=10", "--quiet", "--out", tmp_path)  # fmt: skip
    assert done.code == 0, done.err
    (record,) = (json.loads(path.read_text()) for path in tmp_path.rglob("pieces/record-do_nothing"))
    found = {(m["model"], m["split"]): m["score"]["value"] for m in record["measurements"] if m["metric"] == "accuracy"}
    assert found["target", "forget"] > 0.97
    for one in ("retrained-0", "retrained-1"):
        assert found[one, "forget"] == found[one, "holdout"] == 0
        assert found[one, "retain"] > 0.97
        assert found[one, "test"] > 0.35
    assert record["claim"]["rung"] == "not_shown"
