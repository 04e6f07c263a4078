"""The protocol on voices as a plan, and a small run on the real recordings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_directory import call

from expunge.benchmarks.fsdd import FsddBenchmark
from expunge.facts.errors import InputError
from expunge.pipeline.benchmark import benchmark_plan, check_benchmark


def test_settings_reach_the_plan(tmp_path: Path) -> None:
    """Fails if whose clips go, the network or the recipe does not reach the plan, or a column names what is not measured."""
    (tmp_path / "fsdd.npz").write_bytes(b"")
    voices = FsddBenchmark(forget="speaker=2", seed=7, epochs=3, architecture="resnet", width=4, depth=1).run(tmp_path)
    check_benchmark(voices)
    plan = benchmark_plan("fsdd", voices, voices.methods, seeds=(0,), retrained=(101, 102))
    assert plan.request.settings == {"data": str(tmp_path / "fsdd.npz"), "forget": "speaker=2", "seed": 7}
    assert (plan.model.architecture, plan.model.settings) == ("resnet", {"width": 4, "depth": 1})
    assert plan.recipe is not None
    assert plan.recipe.epochs == 3
    with pytest.raises(InputError, match="there is no file"):
        FsddBenchmark().run(tmp_path / "none")
    with pytest.raises(InputError, match="there is no file"):
        FsddBenchmark().run(None)


def test_the_ruler_on_real_voices(shared_data: Path, tmp_path: Path) -> None:
    """The target knows every clip; models that never heard the speaker read those digits above chance (.1) and far below the target.

    Fails if forget rows reach a retrained model, or the digits are not learnt.
    """
    done = call("bench", "fsdd", "--data", shared_data / "fsdd", "--methods", "ascent", "--seeds", "0", "--retrained-seeds", "101,102",
                "--set", "epochs=10", "--quiet", "--out", tmp_path)  # fmt: skip
    assert done.code == 0, done.err
    (record,) = (json.loads(path.read_text()) for path in tmp_path.rglob("pieces/record-do_nothing"))
    found = {(m["model"], m["split"]): m["score"]["value"] for m in record["measurements"] if m["metric"] == "accuracy"}
    assert found["target", "forget"] > 0.97
    for one in ("retrained-0", "retrained-1"):
        assert 0.15 <= found[one, "forget"] <= 0.75
        assert found[one, "retain"] > 0.97
        assert found[one, "test"] > 0.9
    assert record["claim"]["rung"] == "not_shown"
