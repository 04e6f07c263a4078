"""The TOFU protocol as a plan: names that are there, splits that are disjoint, one table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from expunge.benchmarks.tofu import TofuBenchmark
from expunge.facts.claim import Claim
from expunge.facts.errors import InputError
from expunge.facts.record import Measurement, MethodFacts, ModelFacts, Record
from expunge.facts.score import Score, unscored
from expunge.pipeline.benchmark import benchmark_plan, check_benchmark, table


def test_protocol_names_units_that_are_there(tmp_path: Path) -> None:
    """Fails if a metric or attack of the protocol is misspelt, or a column names a metric that is not run."""
    protocol = TofuBenchmark().run(tmp_path)
    check_benchmark(protocol)
    with pytest.raises(InputError, match="nearest is 'zlib'"):
        check_benchmark(replace(protocol, attacks=("zlip",)))
    with pytest.raises(InputError, match="no_metric:forget"):
        check_benchmark(replace(protocol, columns=("no_metric:forget",)))


def test_missing_data_is_refused(tmp_path: Path) -> None:
    """Fails if a folder that is not there is found out only when rows are read."""
    with pytest.raises(InputError, match="nowhere"):
        TofuBenchmark().run(tmp_path / "nowhere")
    with pytest.raises(InputError, match="there is no"):
        TofuBenchmark().run(None)


def test_plan_has_every_method_seed_and_locator(tmp_path: Path) -> None:
    """Fails if a locator behind + is dropped, or seeds of the table are shared with retrained models."""
    protocol = TofuBenchmark(authors=40, width=64, layers=2).run(tmp_path)
    plan = benchmark_plan(
        "tofu", protocol, ["npo", "random_label+saliency"], seeds=(0, 1, 2), retrained=(101, 102, 103)
    )
    assert [(method.label, method.seeds) for method in plan.method] == [
        ("npo", (0, 1, 2)),
        ("random_label+saliency", (0, 1, 2)),
    ]
    assert plan.seeds.retrained == (101, 102, 103)
    assert plan.model.settings["hidden_size"] == 64
    assert plan.request.settings["authors"] == 40


def record(seed: int, value: float | None) -> Record:
    """A record of one method seed with one measured number."""
    score = unscored("p", "no rows") if value is None else Score(name="p", value=value)
    return Record(
        request={"label": f"npo-{seed}"},
        method=MethodFacts(name="npo", seed=seed),
        models=(
            ModelFacts(role="target", name="target", content_digest=""),
            ModelFacts(role="unlearned", name="unlearned", content_digest=""),
        ),
        measurements=(
            Measurement(metric="probability", model="target", split="forget", score=Score(name="p", value=0.9)),
            Measurement(metric="probability", model="unlearned", split="forget", score=score),
        ),
        claim=Claim(provenance="none", rung="behavioural", control="retrained"),
    )


def test_table_gives_mean_and_range_over_seeds() -> None:
    """Fails if an unscored seed counts as 0, if anchors are averaged with methods, or the range is left out."""
    rows = table([record(0, 0.25), record(1, 0.75), record(2, None)], ["probability:forget"])
    assert rows[1] == ["target", "-", "0.9", "-"]
    assert rows[2] == ["npo", "3", "0.5 [0.25, 0.75] of 2", "behavioural"]
