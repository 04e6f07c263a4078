"""KS against scipy and against the published TOFU logs."""

from __future__ import annotations

import gzip
import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from expunge.facts.errors import InputError
from expunge.statistics.ks import ks_two_sample


def test_equals_scipys_exact_method() -> None:
    """Fails if the asymptotic p-value is returned: it is 0.0741, the exact one 50 of 462 orders."""
    one, two = [1.0, 2.0, 3.0, 4.0, 5.0], [3.5, 4.5, 6.0, 7.0, 8.0, 9.0]
    statistic, p = ks_two_sample(one, two)
    assert statistic == pytest.approx(2 / 3)
    orders = [sum(2**i for i in chosen) for chosen in combinations(range(11), 5)]
    extreme = 0
    for order in orders:
        steps = np.cumsum([1 / 5 if order >> i & 1 else -1 / 6 for i in range(11)])
        extreme += np.abs(steps).max() >= 2 / 3 - 1e-9
    assert p == pytest.approx(extreme / len(orders), rel=1e-12)


@pytest.mark.parametrize("bad", [[], [1.0, float("nan")]])
def test_refuses_what_has_no_distribution(bad: list[float]) -> None:
    """NaN that becomes a p-value, a peers' defect.  Fails if scipy's NaN propagation or a drop is let through."""
    with pytest.raises(InputError):
        ks_two_sample(bad, [1.0, 2.0])


def truth_ratios(folder: Path, model: str) -> np.ndarray:
    logs = json.loads(gzip.decompress((folder / f"{model}.json.gz").read_bytes()))["eval_log_forget.json"]
    keys = sorted(logs["avg_paraphrased_loss"], key=int)
    wrong = np.array([np.mean(logs["average_perturb_loss"][key]) for key in keys])
    right = np.array([logs["avg_paraphrased_loss"][key] for key in keys])
    return np.exp(right - wrong)


def test_tofu_forget_quality_of_published_models(shared_data: Path) -> None:
    """Llama-2-7B full against retain90: KS 0.396667, p 1.834e-21.  Fails if the truth ratio averages probabilities, not losses."""
    folder = shared_data / "tofu_reference_logs"
    expected = json.loads((folder / "expected.json").read_text())["llama2-7b_full"]["ks_vs_retain90"]
    found = ks_two_sample(truth_ratios(folder, "llama2-7b_full"), truth_ratios(folder, "llama2-7b_retain90"))
    assert found == pytest.approx(tuple(expected), rel=1e-9)
    assert found[1] == pytest.approx(1.834066410994743e-21, rel=1e-9)
    same = truth_ratios(folder, "llama2-7b_retain90")
    assert ks_two_sample(same, same) == (0.0, 1.0)
