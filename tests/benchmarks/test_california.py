"""The California benchmark: its protocol, and a small run with a known answer."""

from __future__ import annotations

import contextlib
import csv
from pathlib import Path

import numpy as np
import pytest
from benchmark_runs import ran
from classifiers import mean_interval

from expunge.app.command import main
from expunge.benchmarks.california import CaliforniaBenchmark
from expunge.facts.errors import InputError
from expunge.pipeline.benchmark import benchmark_plan, check_benchmark

HEADER = ("longitude", "latitude", "housing_median_age", "total_rooms", "total_bedrooms", "population", "households",
          "median_income", "median_house_value", "ocean_proximity")  # fmt: skip


def made_up(path: Path, rows: int = 1300) -> Path:
    """Districts whose value no number tells: only a model trained on one knows it."""
    draw = np.random.default_rng(0)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        for _ in range(rows):
            numbers = draw.uniform(1, 100, 8).round(3)
            writer.writerow([*numbers, round(200_000 + 50_000 * draw.normal()), "INLAND"])
    return path


def test_the_protocol_is_a_plan_of_a_regression(tmp_path: Path) -> None:
    """Fails if the table would be read as classes, settings miss the source, the amnesiac draws anew, or a file in a folder is not found."""
    made_up(tmp_path / "housing.csv", 3)
    protocol = CaliforniaBenchmark(forget="region=INLAND", train_rows=500, target_noise=0.1, seed=3).run(tmp_path)
    check_benchmark(protocol)
    plan = benchmark_plan("california", protocol, protocol.methods, seeds=(0,), retrained=(1, 2, 3))
    assert plan.request.settings == {
        "data": str(tmp_path / "housing.csv"), "forget": "region=INLAND", "train_rows": 500, "target_noise": 0.1, "seed": 3
    }  # fmt: skip
    assert plan.model.settings == {"width": 256, "depth": 3, "task": "regression"}
    assert {method.name: method.settings for method in plan.method}["random_label"] == {"redraw": False}
    for missing in (tmp_path / "nowhere", None):
        with pytest.raises(InputError, match="there is no file"):
            CaliforniaBenchmark().run(missing)


def test_a_small_run_gives_the_known_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a regression cannot be built, scored, attacked or judged from a plan, or a row stands beside another model's numbers.

    Values that nothing tells: the target knows its rows to a few thousand dollars, a retrained model is wrong by about
    50,000 * 2 / sqrt(pi) = 56,000 (it memorised others) at most and 40,000 at least, and closes the gap by definition.
    """
    data = made_up(tmp_path / "housing.csv")
    sets = ("train_rows=300", "epochs=150", "width=128", "depth=1", "lr=0.005")
    words = ["--methods", "retrain", "--seeds", "0", "--retrained-seeds", "101,102", "--quiet", "--data", str(data),
             "--out", str(tmp_path / "out"), *(word for one in sets for word in ("--set", one))]  # fmt: skip
    monkeypatch.setattr("sys.argv", ["expunge", "bench", "california", *words])
    with contextlib.suppress(SystemExit):
        main()
    text = (tmp_path / "out" / "table.md").read_text()
    assert "rows measured: forget 30, retain 240, holdout 30, test 1000." in text
    head, _, *body = [[cell.strip() for cell in line[1:-1].split("|")] for line in text.splitlines() if line[:1] == "|"]
    rows = {row[0]: dict(zip(head, row, strict=True)) for row in body}
    assert list(rows) == [
        "target",
        "retrained-0",
        "retrained-1",
        "untrained",
        "do_nothing",
        "second_retrained",
        "retrain",
    ]
    assert float(rows["target"]["prediction_error forget"]) < 10_000
    for name in ("retrained-0", "retrain"):
        assert 30_000 < float(rows[name]["prediction_error forget"]) < 90_000
    assert rows["do_nothing"]["prediction_error forget"] == rows["target"]["prediction_error forget"]
    assert float(rows["do_nothing"]["gap_closed forget"]) == 0
    assert float(rows["retrain"]["gap_closed forget"]) == pytest.approx(1, abs=0.3)
    assert float(rows["target"]["direct_question success"]) > 0.5 > float(rows["retrain"]["direct_question success"])
    assert float(rows["target"]["loss auc"]) > 0.9
    assert 0.2 < float(rows["retrain"]["loss auc"]) < 0.8
    for column in ("reference auc", "gradient_norm auc", "rmia auc", "relearning success", "quantisation success"):
        assert 0 <= float(rows["retrain"][column]) <= 1, column
    assert rows["do_nothing"]["claim"] == "not_shown"
    assert "Benchmark california" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_claim_of_blindspot_on_five_draws(shared_data: Path, tmp_path: Path) -> None:
    """Of three clauses one holds: the forget error is nearer to retraining's; the distribution is not, and the retain error is not kept.

    Five draws of rows and weights, ten retrained models each, defaults, mean and 95% interval over draws. How much further from retrained
    models' forget error (in dollars) than Blindspot: fine-tuning 4,179 (774 to 7,585), ascent 531,000 (376,000 to 685,000). How much further
    their predictions (Wasserstein): fine-tuning -223 (-2,276 to 1,831), on two draws of five; ascent 574,000 (416,000 to 731,000). Retain error 12,100 to
    14,300 where the target has 2,200 to 2,900 (fine-tuning 22,200 to 25,900). The page's draw is one of the two.
    Bounds were set after the forget error on draw 100 and before these; that the distribution is open was seen on draw 100.
    Fails if: Blindspot follows an untrained model, or forget rows keep their targets.
    """
    methods = ("blindspot", "finetune", "ascent")
    draws = [
        ran(
            CaliforniaBenchmark(seed=seed).run(shared_data / "california_housing"),
            tmp_path,
            methods,
            seed=seed,
        )
        for seed in range(5)
    ]

    def of(name: str, what: str) -> np.ndarray:
        return np.array([one.of(name, what) for one in draws])

    def away(name: str) -> np.ndarray:
        return np.abs(of(name, "prediction_error:forget") - of("retrained", "prediction_error:forget"))

    for what in ("prediction_error:forget", "prediction_error:retain", "wasserstein:forget"):
        print(what, {name: of(name, what).round().tolist() for name in ("target", "retrained", *methods)})
    for other in ("finetune", "ascent"):
        assert mean_interval(away(other) - away("blindspot")).low > 0, other
    nearer = {other: of(other, "wasserstein:forget") - of("blindspot", "wasserstein:forget") for other in methods[1:]}
    assert mean_interval(nearer["ascent"]).low > 0
    assert mean_interval(nearer["finetune"]).low < 0
    assert (of("blindspot", "prediction_error:retain") > 3 * of("target", "prediction_error:retain")).all()
    assert (of("blindspot", "prediction_error:retain") < of("finetune", "prediction_error:retain")).all()
