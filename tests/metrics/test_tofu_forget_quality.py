"""Forget quality against retrained models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.stats import ks_2samp

from expunge.facts.rows import Row
from expunge.metrics.tofu_forget_quality import TofuForgetQuality

IDS = [f"row-{i}" for i in range(30)]
ROWS = [Row(id=i, fields={"answer": "x", "perturbed_answers": ("p",)}) for i in IDS]


@pytest.fixture
def model(scores: Callable[..., Any], evidence: Callable[..., Any]) -> Callable[..., Any]:
    def make(name: str, shift: float, **given: Any) -> Any:
        draw = np.random.default_rng(7)
        wrong = draw.normal(size=len(IDS)) - 4 + shift
        logs = {}
        for row, value in zip(IDS, wrong, strict=True):
            logs |= {(row, "answer"): [-1.0], (row, "perturbed_answer/0"): [float(min(value, 0.0))]}
        return evidence({"forget": ROWS}, name=name, scores={"forget": scores(logs)}, **given)

    return make


def ratios(one: Any) -> np.ndarray:
    passed = one.scores["forget"]
    means = dict(zip(passed.keys, passed.mean_log_prob(), strict=True))
    return np.array([np.exp(means[i, "perturbed_answer/0"]) / np.exp(means[i, "answer"]) for i in IDS])


def test_p_against_each_retrained_model(model: Callable[..., Any]) -> None:
    """Fails if the test is asymptotic, one-sided, pooled over models, or ratios are turned over."""
    near, far = model("near", 0.3), model("far", 2.0)
    found = TofuForgetQuality().run(model("own", 0.0, retrained=(near, far)))
    own = ratios(model("own", 0.0))
    expected = [float(ks_2samp(own, ratios(other), method="exact").pvalue) for other in (near, far)]
    assert [found["forget/near"].value, found["forget/far"].value] == pytest.approx(expected, rel=1e-12)
    assert found["forget"].value == pytest.approx(np.median(expected), rel=1e-12)
    assert expected[1] < 1e-3 < expected[0]


def test_without_retrained_models_it_is_unscored(model: Callable[..., Any]) -> None:
    """Fails if a missing retrained model gives None printed as a number, 0 or 1 (a peer's users' first question)."""
    assert (
        TofuForgetQuality().run(model("own", 0.0))["forget"].unscored == "there is no retrained model to compare with"
    )
