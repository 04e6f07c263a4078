"""The protocols on voices and on alphabets as plans, and small runs on the real data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_directory import call

from expunge.benchmarks.fsdd import FsddBenchmark
from expunge.benchmarks.omniglot import OmniglotBenchmark
from expunge.facts.errors import InputError
from expunge.pipeline.benchmark import benchmark_plan, check_benchmark


def test_settings_reach_the_plan(tmp_path: Path) -> None:
    """Fails if whose clips go, the network or the recipe does not reach the plan, or a column names what is not measured."""
    (tmp_path / "fsdd.npz").write_bytes(b"")
    voices = FsddBenchmark(forget="speaker=2", seed=7, epochs=3, architecture="resnet", width=4, depth=1).run(tmp_path)
    letters = OmniglotBenchmark(forget="alphabet=3", earlier="0,1").run(tmp_path)
    for protocol in (voices, letters):
        check_benchmark(protocol)
    plan = benchmark_plan("fsdd", voices, voices.methods, seeds=(0,), retrained=(101, 102))
    assert plan.request.settings == {"data": str(tmp_path / "fsdd.npz"), "forget": "speaker=2", "seed": 7}
    assert (plan.model.architecture, plan.model.settings) == ("resnet", {"width": 4, "depth": 1})
    assert plan.recipe is not None
    assert plan.recipe.epochs == 3
    assert letters.settings["source"]["earlier"] == "0,1"
    assert (
        letters.columns[-1] != OmniglotBenchmark().run(tmp_path).columns[-1] or "forget/earlier" not in letters.columns
    )
    assert "accuracy:forget/earlier" in letters.columns


def test_missing_data_is_refused(tmp_path: Path) -> None:
    for unit in (FsddBenchmark(), OmniglotBenchmark()):
        with pytest.raises(InputError, match="there is no"):
            unit.run(tmp_path / "none")
        with pytest.raises(InputError, match="there is no"):
            unit.run(None)


@pytest.mark.parametrize(
    ("name", "data", "low", "high"), [("fsdd", "fsdd", 0.15, 0.75), ("omniglot", "omniglot", 0.0, 0.0)]
)
def test_the_ruler_on_real_data(
    shared_data: Path, tmp_path: Path, name: str, data: str, low: float, high: float
) -> None:
    """The target knows every forget row; a retrained model reads an unheard speaker's digits above chance and below its own, and never
    answers with a character of an alphabet it did not see. Fails if forget rows reach a retrained model, or utility is not learnt.
    """
    done = call("bench", name, "--data", shared_data / data, "--methods", "ascent", "--seeds", "0", "--retrained-seeds", "101,102",
                "--set", "epochs=10", "--quiet", "--out", tmp_path)  # fmt: skip
    assert done.code == 0, done.err
    (record,) = (json.loads(path.read_text()) for path in tmp_path.rglob("pieces/record-do_nothing"))
    found = {(m["model"], m["split"]): m["score"]["value"] for m in record["measurements"] if m["metric"] == "accuracy"}
    assert found["target", "forget"] > 0.97
    for one in ("retrained-0", "retrained-1"):
        assert low <= found[one, "forget"] <= high
        assert found[one, "retain"] > 0.97
        assert found[one, "test"] > (0.9 if name == "fsdd" else 0.35)
    assert record["claim"]["rung"] == "not_shown"
