"""A benchmark's plan and table: names checked at once, cells with mean and range over seeds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from expunge.contract.units import BenchmarkPlan
from expunge.facts.claim import Claim
from expunge.facts.errors import InputError
from expunge.facts.record import Measurement, MethodFacts, ModelFacts, Record
from expunge.facts.score import Score, unscored
from expunge.pipeline.benchmark import benchmark_plan, check_benchmark, table, write_table

PROTOCOL = BenchmarkPlan(
    source="people",
    metrics=("probability", "rouge"),
    attacks=("loss",),
    controls=("retrained",),
    columns=("probability:forget",),
    settings={
        "source": {"people": 6, "forget_people": 1},
        "architecture": "llama",
        "model": {"hidden_size": 16},
        "recipe": {"epochs": 1},
    },
)


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"source": "peple"}, "no source named 'peple'"),
        ({"metrics": ("probability", "rogue")}, "no metric named 'rogue'"),
        ({"attacks": ("los",)}, "no attack named 'los'"),
        ({"columns": ("accuracy:forget",)}, "the column 'accuracy:forget' is not METRIC:SPLIT"),
        ({"columns": ("probability",)}, "the column 'probability' is not METRIC:SPLIT"),
    ],
)
def test_a_protocol_with_a_typing_error_is_refused(change: dict[str, Any], wanted: str) -> None:
    """Fails if a name is looked up only after hours of training."""
    check_benchmark(PROTOCOL)
    with pytest.raises(InputError, match=wanted):
        check_benchmark(replace(PROTOCOL, **change))


def test_every_method_runs_under_every_seed() -> None:
    """Fails if a locator is lost, or seeds are given to the first method only."""
    plan = benchmark_plan("b", PROTOCOL, ["ascent", "random_label+saliency"], seeds=[0, 1], retrained=[7])
    assert [(m.name, m.locator, m.seeds) for m in plan.method] == [
        ("ascent", None, (0, 1)),
        ("random_label", "saliency", (0, 1)),
    ]
    assert plan.seeds.retrained == (7,)
    assert (plan.verify.metrics, plan.verify.attacks) == (("probability", "rouge"), ("loss",))
    with pytest.raises(InputError, match="no method named 'ascend'"):
        benchmark_plan("b", PROTOCOL, ["ascend"], seeds=[0], retrained=[7])


def record(label: str, seed: int, value: float | None) -> Record:
    def measured(model: str, value: float | None) -> Measurement:
        score = unscored("probability", "no") if value is None else Score(name="probability", value=value)
        return Measurement(metric="probability", model=model, split="forget", score=score)

    return Record(
        request={"label": f"{label}-{seed}"},
        method=MethodFacts(name=label, seed=seed),
        models=(
            ModelFacts(role="target", name="target", content_digest="0"),
            ModelFacts(role="unlearned", name="unlearned", content_digest="1"),
        ),
        measurements=(measured("target", 0.95), measured("unlearned", value)),
        claim=Claim(provenance="none", rung="behavioural" if seed else "not_shown", control="retrained"),
    )


def test_cells_are_mean_and_range_over_seeds(tmp_path: Path) -> None:
    """Fails if a seed is left out, an unscored value counts as 0, or the untouched target is not beside the methods."""
    records = [
        record("npo", 0, 0.1),
        record("npo", 1, 0.4),
        record("ascent", 0, None),
        record("rmu", 0, 0.2),
        record("rmu", 1, None),
    ]
    rows = table(records, PROTOCOL.columns)
    assert rows[0] == ["model", "seeds", "probability forget", "claim"]
    assert rows[1] == ["target", "-", "0.95", "-"]
    assert rows[2] == ["npo", "2", "0.25 [0.1, 0.4]", "behavioural | not_shown"]
    assert rows[3] == ["ascent", "1", "unscored", "not_shown"]
    assert rows[4][2] == "0.2"
    write_table(rows, tmp_path / "deep" / "table.md", "T", ["a note"])
    text = (tmp_path / "deep" / "table.md").read_text().splitlines()
    assert text[0] == "# T"
    assert text[-3].startswith("| npo | 2 | 0.25 [0.1, 0.4] | behavioural \\| not_shown |")
