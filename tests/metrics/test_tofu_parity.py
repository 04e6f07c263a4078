"""TOFU's metrics on the published per-example losses of two Llama-2-7B models equal what was published."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from expunge.facts.rows import Row
from expunge.metrics.probability import Probability
from expunge.metrics.rouge import Rouge
from expunge.metrics.tofu_forget_quality import TofuForgetQuality
from expunge.metrics.tofu_model_utility import TofuModelUtility
from expunge.metrics.truth_ratio import TruthRatio
from expunge.statistics.ks import ks_two_sample
from expunge.statistics.tofu import answers_of, log_truth_ratio

LOGS = {
    "retain": "eval_log.json",
    "real_authors": "eval_real_author_wo_options.json",
    "world_facts": "eval_real_world_wo_options.json",
    "forget": "eval_log_forget.json",
}


def words(recall: float) -> tuple[str, str]:
    """An answer and a generation whose ROUGE-L recall is exactly the logged number."""
    share = Fraction(recall).limit_denominator(500)
    assert float(share) == recall
    every = [f"w{i}" for i in range(share.denominator)]
    return " ".join(every), " ".join(every[: share.numerator])


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Path:
    return shared_data / "tofu_reference_logs"


@pytest.fixture
def model(folder: Path, scores: Callable[..., Any], evidence: Callable[..., Any]) -> Callable[..., Any]:
    """Evidence with the logged losses as one position an answer."""

    def read(name: str, **given: Any) -> Any:
        with gzip.open(folder / f"llama2-7b_{name}.json.gz", "rt", encoding="utf-8") as file:
            logs = json.load(file)
        rows, passed, said = {}, {}, {}
        for split, file_name in LOGS.items():
            log, items, logged = logs[file_name], [], {}
            for i, loss in log["avg_gt_loss"].items():
                perturbed = log["average_perturb_loss"][i]
                answer = words(log["rougeL_recall"][i])[0]
                items.append(Row(id=i, fields={"answer": answer, "perturbed_answers": tuple(map(str, perturbed))}))
                logged |= {(i, "answer"): [-loss], (i, "paraphrased_answer"): [-log["avg_paraphrased_loss"][i]]}
                logged |= {(i, f"perturbed_answer/{j}"): [-value] for j, value in enumerate(perturbed)}
            rows[split], passed[split] = items, scores(logged)
            said[split] = [words(value)[1] for value in log["rougeL_recall"].values()]
        return evidence(rows, name=name, scores=passed, generations=said, **given)

    return read


@pytest.fixture
def expected(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "expected.json").read_text())
    return found


@pytest.mark.parametrize("name", ["full", "retain90"])
def test_metrics_equal_the_published_ones(name: str, model: Callable[..., Any], expected: dict[str, Any]) -> None:
    """Fails if any of the five formulas, their aggregators or the choice of sets differs from the published ones."""
    given, wanted = model(name), expected[f"llama2-7b_{name}"]
    found = {
        "n_forget": len(given.rows["forget"]),
        "model_utility": TofuModelUtility().run(given)["utility"].value,
        "forget_prob": Probability().run(given)["forget"].value,
        "forget_rougeL": Rouge().run(given)["forget"].value,
        "forget_truth_ratio": TruthRatio().run(given)["forget"].value,
    }
    assert found == pytest.approx({key: wanted[key] for key in found}, rel=1e-9)


def test_forget_quality_equals_the_published_one(model: Callable[..., Any], expected: dict[str, Any]) -> None:
    """Fails if KS is asymptotic, or the ratios are not ordered as published (0.396667, p 1.834e-21; against itself 0, p 1)."""
    retain = model("retain90")
    for name in ("full", "retain90"):
        given = model(name, retrained=(retain,))
        ids = given.rows["forget"].ids

        def ratios(one: Any, ids: tuple[str, ...] = ids) -> Any:
            passed = one.scores["forget"]
            means = dict(zip(passed.keys, passed.mean_log_prob().tolist(), strict=True))
            return log_truth_ratio(answers_of(means, ids), "geometric")

        statistic, p = ks_two_sample(ratios(given), ratios(retain))
        assert [statistic, p] == pytest.approx(expected[f"llama2-7b_{name}"]["ks_vs_retain90"], rel=1e-9)
        assert TofuForgetQuality().run(given)["forget"].value == p
