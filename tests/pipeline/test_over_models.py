"""Columns over several models of a table: KLoM by hand-made records, AIN by hand-made curves, and both from a run."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expunge.contract.units import BenchmarkPlan
from expunge.facts.errors import InputError
from expunge.facts.record import Measurement, MethodFacts, ModelFacts, Outcome, Record
from expunge.facts.score import Score, unscored
from expunge.pipeline.benchmark import benchmark_plan, check_benchmark, table
from expunge.pipeline.columns import value_of
from expunge.pipeline.over_models import ain_of, is_over_models, klom_of, with_also
from expunge.pipeline.plan import check_plan
from expunge.pipeline.run import certify_run, run_plan
from expunge.statistics.klom import klom
from expunge.store.store import Store

PROTOCOL = BenchmarkPlan(
    source="digits",
    methods=("retrain",),
    metrics=("accuracy",),
    attacks=("loss",),
    controls=("retrained",),
    columns=("accuracy:forget",),
    settings={},
)


def record(
    label: str,
    seed: int,
    own: Sequence[float] | None,
    retrained: Sequence[Sequence[float]],
    digest: str = "",
    outcomes: tuple[Outcome, ...] = (),
) -> Record:
    """One removal's record with the margins of the unlearned and of the retrained models on forget rows."""

    def measured(model: str, values: Sequence[float] | None) -> Measurement:
        if values is None:
            return Measurement(metric="margin", model=model, split="forget", score=unscored("margin", "broken"))
        score = Score(name="margin", value=float(np.mean(values)), per_example=tuple(values))
        return Measurement(metric="margin", model=model, split="forget", score=score)

    return Record(
        request={"label": f"{label}-{seed}"},
        method=MethodFacts(name=label, seed=seed),
        models=(
            *(
                ModelFacts(role="retrained", name=f"retrained-{i}", content_digest=f"r{i}")
                for i in range(len(retrained))
            ),
            ModelFacts(role="unlearned", name="unlearned", content_digest=digest or f"{label}-{seed}"),
        ),
        measurements=(
            measured("unlearned", own),
            *(measured(f"retrained-{i}", one) for i, one in enumerate(retrained)),
        ),
        outcomes=outcomes,
    )


DRAW = np.random.default_rng(0)
RETRAINED = DRAW.normal(0, 1, (20, 5)).tolist()
OWN = DRAW.normal(1, 1, (20, 5)).tolist()


def test_klom_is_over_every_seed_of_a_label() -> None:
    """Fails if a seed or a retrained model is left out, unlearned and retrained change places, or another label's models come in."""
    records = [record("npo", i, one, RETRAINED) for i, one in enumerate(OWN)]
    found = klom_of(records, "forget")
    assert found.value == klom(np.array(OWN), np.array(RETRAINED)).value
    assert found.value != klom(np.array(RETRAINED), np.array(OWN)).value
    rows = table([*records, record("ascent", 0, OWN[0], RETRAINED)], ("klom:forget",))
    assert rows[0] == ["model", "seeds", "klom forget", "claim"]
    assert rows[1] == ["retrained-0", "-", "-", "-"]
    assert rows[-2] == ["npo", "20", f"{found.value:.3g}", ""]
    assert rows[-1] == ["ascent", "1", "unscored (1 + 20 models; 20 + 20 are needed)", ""]


def test_too_few_models_give_no_number() -> None:
    """Fails if 5 + 10 models, or 20 copies of one model, or 19 and one that is itself a retrained one give a number."""
    few = [record("npo", i, one, RETRAINED[:10]) for i, one in enumerate(OWN[:5])]
    assert klom_of(few, "forget").unscored == "5 + 10 models; 20 + 20 are needed"
    copies = [record("ssd", i, OWN[0], RETRAINED, digest="one") for i in range(20)]
    assert klom_of(copies, "forget").unscored == "1 + 20 models; 20 + 20 are needed"
    one = record("retrain", 19, RETRAINED[3], RETRAINED, digest="r3")
    again = [*(record("retrain", i, OWN[i], RETRAINED) for i in range(19)), one]
    assert klom_of(again, "forget").unscored == "19 + 20 models; 20 + 20 are needed"


def test_models_without_margins_are_named() -> None:
    """Fails if a model whose margins are unscored is left out silently, or a split that was not measured reads as few models."""
    records = [record("npo", i, None if i == 7 else one, RETRAINED) for i, one in enumerate(OWN)]
    assert klom_of(records, "forget").unscored == "forget rows of unlearned have no margins: broken"
    assert klom_of(records, "test").unscored == "test rows of unlearned have no margins"


def taught(model: str, *steps: float) -> Outcome:
    """An attack whose curve is back at the first step that is listed twice."""
    curve = tuple((float(step), 1.0 if step in steps else 0.0) for step in range(41))
    return Outcome(attack="relearn_time", model=model, kind="success", forget=(0.5,), curve=curve)


def test_ain_by_hand() -> None:
    """10 steps against 20 and 30: .4; 20 of a retrained one against the other's 30. Fails if a retrained model is compared with itself too."""
    outcomes = (taught("unlearned", 10), taught("retrained-0", 20), taught("retrained-1", 30))
    one = record("npo", 0, OWN[0], RETRAINED[:2], outcomes=outcomes)
    assert ain_of(one, "unlearned").value == pytest.approx(10 / 25)
    assert value_of(one, "retrained-0", "ain") == pytest.approx(20 / 30)
    other = record("npo", 1, OWN[1], RETRAINED[:2], outcomes=(taught("unlearned", 20), *outcomes[1:]))
    rows = table([one, other], ("ain",))
    assert [row[2] for row in rows[1:]] == ["0.667", "1.5", "0.6 [0.4, 0.8]"]


def test_no_ain_without_its_curves() -> None:
    """Fails if a missing or unscored curve, or one retrained model of two, still gives a number."""
    failed = taught("unlearned", 10).model_copy(update={"curve": (), "forget": (), "unscored": "no target"})
    whole = (taught("retrained-0", 20), taught("retrained-1", 30))
    for outcomes, wanted in (
        ((failed, *whole), "unlearned was not taught again"),
        ((taught("unlearned", 10), whole[0]), "retrained-1 was not taught again"),
        ((taught("unlearned"), *whole), "not back after 40 steps"),
    ):
        one = record("npo", 0, OWN[0], RETRAINED[:2], outcomes=outcomes)
        assert wanted in (ain_of(one, "unlearned").unscored or "")
        assert value_of(one, "unlearned", "ain") is None


def test_columns_are_added_with_what_they_read() -> None:
    """Fails if a column is asked for and its unit is not run, or a protocol may name it without."""
    found = with_also(PROTOCOL, ("klom", "ain"))
    assert found.metrics == ("accuracy", "margin")
    assert found.attacks == ("loss", "relearn_time")
    assert found.columns == (
        "accuracy:forget", "klom:forget", "klom:retain", "klom:test", "relearn_time:success", "ain"
    )  # fmt: skip
    assert with_also(found, ("klom",)) == found
    assert with_also(PROTOCOL, ()) == PROTOCOL
    check_benchmark(found)
    for column in ("klom:forget", "ain", "klom", "ain:forget"):
        assert not is_over_models(column, PROTOCOL)
        with pytest.raises(InputError, match=f"the column '{column}' is not"):
            check_benchmark(replace(PROTOCOL, columns=(column,)))
    with pytest.raises(InputError, match="nearest is 'klom'"):
        with_also(PROTOCOL, ("kolm",))


def digits_plan(
    *, seeds: int, retrained: int, attacks: Sequence[str], target: int | str = 0, source: Any = None, **recipe: Any
) -> Any:
    """Mislabelled digits and a small network: retraining and doing nothing."""
    return check_plan(
        {
            "request": {
                "source": "digits",
                "settings": source or {"forget": "random=0.1", "label_noise": 0.2, "holdout": 1.0, "test": 0.5},
            },
            "model": {"architecture": "mlp", "settings": {"width": 48, "depth": 1}},
            "recipe": {"epochs": 20, "lr": 0.01, "batch_size": 64} | recipe,
            "method": [{"name": "retrain", "seeds": list(range(seeds))}],
            "verify": {
                "metrics": ["margin", "accuracy"],
                "attacks": list(attacks),
                "retain_rows": 100,
                "settings": {"relearn_time": {"lr": 0.01}},
            },
            "seeds": {"retrained": list(range(101, 101 + retrained)), "target": target},
        }
    )


def run(plan: Any, folder: Path) -> list[Record]:
    with Store.open(folder / "store") as store:
        return run_plan(plan, store, run_id="one")


def test_a_benchmark_with_klom_has_a_target_for_each_seed() -> None:
    """Fails if the seeds of methods start from one target where their distribution is asked for, or targets change where it is not."""
    settings = {
        "source": {},
        "architecture": "mlp",
        "model": {"width": 8},
        "recipe": {"epochs": 1},
    }
    protocol = replace(PROTOCOL, settings=settings)
    plans = [
        benchmark_plan("b", with_also(protocol, names), ["retrain"], seeds=[4, 5], retrained=[7])
        for names in ((), ("ain",), ("klom",))
    ]
    assert [plan.seeds.target for plan in plans] == [0, 0, "method"]
    assert [plan.targets for plan in plans] == [(0,), (0,), (4, 5)]
    with pytest.raises(InputError, match="leave model.directory out"):
        check_plan(plans[2].plain() | {"model": {"directory": "m"}})


def test_ain_of_a_run(tmp_path: Path) -> None:
    """Retrained against retrained: about 1; untouched: 0 steps. Fails if records lack the curves, or margins are not kept row by row."""
    a_class = {"forget": "class=3", "test": 0.5}
    plan = digits_plan(seeds=1, retrained=2, attacks=("relearn_time",), source=a_class, epochs=10)
    records = run(plan, tmp_path)
    rows = {row[0]: row[2:] for row in table(records, ("ain", "klom:forget", "klom:retain"))}
    assert float(rows["target"][0]) < 0.3
    assert rows["do_nothing"][0] == rows["target"][0]
    assert float(rows["retrain"][0]) == pytest.approx(1, abs=0.5)
    assert rows["retrain"][1:3] == ["unscored (1 + 2 models; 20 + 20 are needed)"] * 2


def test_each_seed_starts_from_its_own_target(tmp_path: Path) -> None:
    """Fails if seeds share a target, if doing nothing has one record, or a certificate's target would be another one's."""
    plan = digits_plan(seeds=2, retrained=1, attacks=(), target="method", epochs=1)
    records = run(plan, tmp_path)
    named = {str(one.request["label"]): {model.name: model.content_digest for model in one.models} for one in records}
    assert list(named) == ["do_nothing-0", "do_nothing-1", "retrain-0", "retrain-1"]
    for seed in (0, 1):
        assert named[f"do_nothing-{seed}"]["unlearned"] == named[f"do_nothing-{seed}"]["target"]
        assert named[f"retrain-{seed}"]["target"] == named[f"do_nothing-{seed}"]["target"]
        assert records[2 + seed].method.digest_before != records[3 - seed].method.digest_before
    assert named["retrain-0"]["target"] != named["retrain-1"]["target"]
    assert named["retrain-0"]["retrained-0"] == named["retrain-1"]["retrained-0"]
    assert klom_of(records[:2], "forget").unscored == "2 + 1 models; 20 + 20 are needed"
    with Store.open(tmp_path / "store") as store:
        signed = certify_run(plan, store, "one", records)
        for record in records[2:]:
            text = signed[record.digest()]
            parent = json.loads(base64.b64decode(json.loads(text)["payload"]))
            assert named[str(record.request["label"])]["target"] in json.dumps(parent)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_klom_of_a_run(tmp_path: Path) -> None:
    """20 + 20 models by plan and records: doing nothing lies above the row of retrain, the noise floor.

    Fails if margins of some models do not reach the table, or all seeds start from one target.
    """
    records = run(digits_plan(seeds=20, retrained=20, attacks=(), target="method"), tmp_path)
    rows = {row[0]: row[2:4] for row in table(records, ("klom:forget", "klom:retain"))}
    nothing, floor = ([float(value) for value in rows[name]] for name in ("do_nothing", "retrain"))
    assert floor[0] + 2 < nothing[0]
    assert 1 < floor[1] < nothing[1] + 1 < 9
