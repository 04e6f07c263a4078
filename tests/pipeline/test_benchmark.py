"""A benchmark's plan and table: names checked at once, cells with mean and range over seeds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from expunge.contract.about import About
from expunge.contract.units import BenchmarkPlan
from expunge.facts.claim import Claim
from expunge.facts.digest import canonical_json
from expunge.facts.errors import InputError
from expunge.facts.record import Measurement, MethodFacts, ModelFacts, Outcome, Record, SplitFacts
from expunge.facts.rows import Row, Rows
from expunge.facts.score import Score, unscored
from expunge.pipeline.benchmark import benchmark_plan, check_benchmark, hours, notes, refusals, table, write_table
from expunge.pipeline.columns import value_of
from expunge.pipeline.plan import check_plan
from expunge.store.store import Store

PROTOCOL = BenchmarkPlan(
    source="people",
    methods=("npo", "ascent"),
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
        ({"columns": ("loss:forget",)}, "the column 'loss:forget' is not .* nor ATTACK:auc or ATTACK:success"),
        ({"columns": ("zlib:auc",)}, "the column 'zlib:auc' is not"),
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


def test_settings_reach_the_method_they_name() -> None:
    """Fails if settings of a method behind a locator reach the bare method, or one method's reach all."""
    protocol = replace(PROTOCOL, method_settings={"random_label+saliency": {"epochs": 7}, "ascent": {"lr": 0.5}})
    plan = benchmark_plan(
        "b", protocol, ["ascent", "random_label", "random_label+saliency", "npo"], seeds=[0], retrained=[7]
    )
    assert [method.settings for method in plan.method] == [{"lr": 0.5}, {}, {"epochs": 7}, {}]
    with pytest.raises(InputError, match="'epoch'"):
        benchmark_plan("b", replace(PROTOCOL, method_settings={"npo": {"epoch": 7}}), ["npo"], seeds=[0], retrained=[7])


def test_verification_settings_reach_the_plan() -> None:
    """Fails if a protocol's retain rows or new tokens are dropped, or the plan's own defaults are not used without them."""
    given = replace(PROTOCOL, settings={**PROTOCOL.settings, "retain_rows": 30, "max_new_tokens": 9})
    plans = [benchmark_plan("b", one, ["npo"], seeds=[0], retrained=[7]) for one in (given, PROTOCOL)]
    assert [(plan.verify.retain_rows, plan.verify.max_new_tokens) for plan in plans] == [(30, 9), (400, 64)]


def attacked(attack: str, **change: Any) -> Outcome:
    return Outcome(attack=attack, **({"model": "unlearned", "kind": "member"} | change))


def test_columns_of_attacks() -> None:
    """Fails if the AUC is turned round, ties count whole, the target's outcome is read, or an unscored outcome gets a number.

    Forget 3, 1 against holdout 1, 0: 3 beats both, 1 ties one and beats one, so 3.5 of 4.
    """
    one = record("npo", 0, 0.1).model_copy(
        update={
            "outcomes": (
                attacked("loss", model="target", forget=(9.0,), holdout=(1.0,)),
                attacked("loss", forget=(3.0, 1.0), holdout=(1.0, 0.0)),
                attacked("rmia", unscored="no retrained models"),
                attacked("relearning", kind="success", forget=(1.0, 0.0, 0.5), item_control=(1.0, 1.0)),
            )
        }
    )
    found = [value_of(one, "unlearned", column) for column in ("loss:auc", "rmia:auc", "relearning:success")]
    assert found == [0.875, None, 0.5]
    assert value_of(one, "unlearned", "loss:success") is None
    assert value_of(one, "target", "loss:auc") == 1.0


def test_notes_say_what_is_not_a_default() -> None:
    """Fails if settings of the protocol, its notes, rows measured or seconds are left out, anchors get seconds, or work done
    once and kept makes a method look cheap."""
    protocol = replace(PROTOCOL, notes=("A note.",), method_settings={"ascent": {"lr": 0.5, "epochs": 2}})
    plan = benchmark_plan("b", protocol, ["npo", "ascent"], seeds=[0], retrained=[7])
    facts = {"splits": (SplitFacts(name="forget", n=12),), "cost": {"removal (s)": 2.0}}
    one = record("npo", 0, 0.1).model_copy(update=facts)
    two = record("npo", 1, 0.1).model_copy(update={"cost": {"removal (s)": 5.0}})
    first, *later = (
        record("dmm", seed, 0.1).model_copy(update={"cost": {"removal (s)": cost}})
        for seed, cost in enumerate((94.0, 0.5, 1.5))
    )
    kept = {"found_kept": ["logits of models on subsets"]}
    later = [one.model_copy(update={"method": one.method.model_copy(update={"notes": kept})}) for one in later]
    about = About(
        needs=(), modalities=("text",), claim="It forgets.", paper="", link="", year=2024, differs=("Small.",)
    )
    assert notes(about, protocol, plan, [one, two, first, *later, record("do_nothing", 0, 0.9)]) == [
        "It forgets.",
        "",
        "- Small.",
        "- A note.",
        "- Settings other than the methods' defaults: ascent lr=0.5, epochs=2.",
        "",
        "target 0.00M parameters; rows measured: forget 12.",
        "Mean seconds of a removal: npo 3.5, dmm 94 and 1 where work of an earlier one was kept.",
    ]


def test_notes_say_how_forget_rows_were_searched() -> None:
    """Fails if the count, the settings or whose target was searched is left out, or one record's word stands for all."""
    searched = {"target": "0", "among": 40, "seed": 5, "settings": {"lower": "finetune", "rounds": 3}}
    given = benchmark_plan("b", PROTOCOL, ["npo"], seeds=[0], retrained=[7]).plain()
    plan = check_plan({**given, "request": {**given["request"], "searched": searched}})
    about = About(needs=(), modalities=("text",), claim="It forgets.", paper="", link="", year=2024)
    one, two = (
        record("npo", seed, 0.1).model_copy(
            update={"splits": (SplitFacts(name="forget", n=4),), "request": {"label": f"npo-{seed}", "searched_on": on}}
        )
        for seed, on in enumerate(("this target", "another model"))
    )
    wanted = "- Forget rows: 4 of 40 training rows, chosen on {} (lower=finetune, rounds=3, seed=5)."
    assert wanted.format("this target") in notes(about, PROTOCOL, plan, [one])
    assert wanted.format("another model or this target") in notes(about, PROTOCOL, plan, [one, two])


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


def test_an_attack_whose_anchors_are_out_of_order_judges_no_method() -> None:
    """Scores with an AUC of 1, .5 or 0 of target, two retrained models and a method. Fails if a method's cell stays where a retrained model reads
    as high as the target, one retrained model decides for all, the anchors' own cells go, or a column of a metric is refused.
    """
    area = {1.0: (2.0,), 0.5: (1.0,), 0.0: (0.0,)}

    def judged(label: str, target: float, *again: float) -> Record:
        values = {"target": target, "unlearned": 1.0, **{f"retrained-{i}": value for i, value in enumerate(again)}}
        outcomes = tuple(attacked("loss", model=name, forget=area[v], holdout=(1.0,)) for name, v in values.items())
        facts = tuple(ModelFacts(role=name.partition("-")[0], name=name, content_digest="0") for name in values)
        one = record(label, 0, 0.1)
        known = tuple(m.model_copy(update={"model": "retrained-0"}) for m in one.measurements if m.model == "target")
        told = {"outcomes": outcomes, "models": facts, "measurements": (*one.measurements, *known)}
        return one.model_copy(update=told)

    columns = ("probability:forget", "loss:auc")
    for again, told in (((0.5, 0.0), "1"), ((0.0, 1.0), "refused")):
        rows = [judged(label, 1.0, *again) for label in ("do_nothing", "second_retrained", "npo")]
        found = {row[0]: row[2:4] for row in table(rows, columns)}
        assert found["npo"] == ["0.1", told]
        assert found["do_nothing"][1] == found["second_retrained"][1] == found["target"][1] == "1"
        assert [found[f"retrained-{i}"][1] for i in range(2)] == [f"{value:g}" for value in again]
    reason = "Refused, since doing nothing reads no higher than a retrained model: loss auc 0.5, retrained 0 to 0.5."
    assert refusals(judged("npo", 0.5, 0.0, 0.5), columns) == [reason]
    assert refusals(judged("npo", 0.5, 0.0), columns) == refusals(record("npo", 0, 0.1), columns) == []


def test_a_metric_that_has_no_number_for_the_target_says_why() -> None:
    """Fails if a column of `unscored` gives no reason, or a model's own reason is given for the metric's."""
    bare = record("npo", 0, 0.1)
    scores = [("target", "its anchors are out of order"), ("unlearned", "of its own")]
    more = tuple(
        Measurement(metric="nomus", model=model, split="all", score=unscored("NoMUS", reason))
        for model, reason in scores
    )
    told = bare.model_copy(update={"measurements": (*bare.measurements, *more)})
    assert refusals(told, ("probability:forget", "nomus:all")) == [
        "Unscored: nomus all (its anchors are out of order)."
    ]


def test_hours_are_those_of_every_call(tmp_path: Path) -> None:
    """Training 1 h, two removals 0.5 h, two verifications 0.25 h. Fails if only the last call counts, or a removal counts as training."""
    with Store.open(tmp_path / "store") as store:
        store.open_request("r", Rows((Row(id="a", fields={"prompt": "p", "answer": "a"}),)))
        with store.run("one", "r", plan=b"{}") as run:
            for name, seconds in (("target", 3600), ("unlearned-npo-0", 1500), ("unlearned-npo-1", 300)):
                run.finish(f"seconds-{name}", canonical_json(float(seconds)))
            run.finish("record-npo-0", b"{}")
            judged = Record(request={}, method=MethodFacts(name="npo"), models=(), cost={"verification (s)": 450.0})
            assert hours(run, [judged, judged]) == (
                "1.75 hours in all: training models 1.00, removals 0.50, measuring and attacking 0.25."
            )
            run.finish("seconds-searched-0a1b2c3d", canonical_json(720.0))
            assert hours(run, [judged, judged]) == (
                "1.95 hours in all: training models 1.00, searching for forget rows 0.20, removals 0.50, "
                "measuring and attacking 0.25."
            )
