"""Likelihood ratios against a population."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from expunge.attacks.rmia import Rmia

NO_PROBE: Any = None


@pytest.fixture
def models(evidence: Callable[..., Any]) -> Any:
    draw = np.random.default_rng(0)

    def one(name: str, shift: float) -> Any:
        values = {
            split: (-draw.exponential(size=(n, 2)) - 0.1).tolist() for split, n in (("forget", 12), ("holdout", 9))
        }
        values["forget"] = [[min(x + shift, -0.01) for x in row] for row in values["forget"]]
        return evidence(values, name=name)

    return replace(one("unlearned", 0.5), retrained=(one("retrained-0", 0.0), one("retrained-1", 0.0)))


@pytest.mark.parametrize("gamma", [0.5, 1.0, 1.5])
def test_equals_the_table_of_all_pairs(gamma: float, models: Any) -> None:
    """Fails if > becomes >=, gamma multiplies the wrong side, a holdout row is counted against itself, or p(x) lacks a."""

    def p(one: Any, split: str) -> np.ndarray:
        return np.array([np.exp(np.mean(values)) for values in one.scores[split].log_prob.reshape(-1, 2)])

    def ratio(split: str) -> np.ndarray:
        out = np.mean([p(other, split) for other in models.retrained], axis=0)
        return p(models, split) / ((1.3 * out + 0.7) / 2)

    population = ratio("holdout")
    forget = [np.mean([x / z > gamma for z in population]) for x in ratio("forget")]
    holdout = [np.mean([x / z > gamma for j, z in enumerate(population) if j != i]) for i, x in enumerate(population)]
    found = Rmia(gamma=gamma).run(models, NO_PROBE)
    assert found.forget == pytest.approx(forget, abs=1e-12)
    assert found.holdout == pytest.approx(holdout, abs=1e-12)


def test_without_retrained_models_it_is_unscored(models: Any) -> None:
    """Fails if p(x) is made up where no model that never saw x is known."""
    found = Rmia().run(replace(models, retrained=()), NO_PROBE)
    assert found.unscored == "unlearned has no retrained model to take p(x) from"
