"""LiRA for unlearned models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm
from shadowed import attacked, removed

from expunge.attacks.loss import Loss
from expunge.attacks.u_lira import ULira
from expunge.statistics.auc import auc

NO_PROBE: Any = None
METHODS = [
    (method, seed)
    for seed in (0, 1, 2)
    for method in ("undial", "simnpo", "random_label")
    if (method, seed) != ("undial", 0)
]
N = {"forget": 40, "holdout": 40}


@pytest.fixture
def world(evidence: Callable[..., Any]) -> Any:
    """Rows of very unequal difficulty; what was trained on and then unlearned lies 1 in phi below what never was."""
    draw = np.random.default_rng(4)
    hard = {split: draw.normal(scale=3, size=n) for split, n in N.items()}

    def model(name: str, touched: dict[str, float]) -> Any:
        phi = {split: hard[split] - touched[split] + 0.3 * draw.normal(size=n) for split, n in N.items()}
        return evidence({split: [[-float(np.log1p(np.exp(-x)))] for x in phi[split]] for split in N}, name=name)

    shadows = {
        "trained_then_unlearned": tuple(model(f"u{i}", {"forget": 1.0, "holdout": 1.0}) for i in range(6)),
        "retrained": tuple(model(f"r{i}", {"forget": 0.0, "holdout": 0.0}) for i in range(5)),
    }
    return replace(model("unlearned", {"forget": 1.0, "holdout": 0.0}), shadows=shadows)


def phi_of(one: Any, split: str) -> np.ndarray:
    p = np.exp(one.scores[split].log_prob)
    return np.log(p / (1 - p))


def test_equals_the_gaussians_written_out(world: Any) -> None:
    """Fails if the histories change places, or rows are compared with the population's Gaussian."""
    expected = np.zeros(40)
    for sign, history in ((1, "trained_then_unlearned"), (-1, "retrained")):
        table = np.array([phi_of(one, "forget") for one in world.shadows[history]])
        pooled = ((table - table.mean(0)) ** 2).sum() / ((len(table) - 1) * table.shape[1])
        expected += sign * norm.logpdf(phi_of(world, "forget"), table.mean(0), np.sqrt(pooled))
    assert ULira().run(world, NO_PROBE).forget == pytest.approx(expected, rel=1e-6)


def test_finds_over_forgotten_rows_that_the_loss_calls_forgotten(world: Any) -> None:
    """Fails if a population attack stands for U-LiRA: the rows' losses lie *below* the holdout's, and yet they were members."""
    found = ULira().run(world, NO_PROBE)
    assert auc(found.forget, found.holdout) > 0.95
    assert auc(world.scores["forget"].log_prob, world.scores["holdout"].log_prob) < 0.6


def test_a_retrained_model_stays_hidden(world: Any) -> None:
    """Fails if the score depends on which split a row is in: a model that never saw either gets 0.5 within noise."""
    clean = replace(
        world.shadows["retrained"][0], shadows={**world.shadows, "retrained": world.shadows["retrained"][1:]}
    )
    found = ULira().run(clean, NO_PROBE)
    assert abs(auc(found.forget, found.holdout) - 0.5) < 0.2


def test_without_shadow_models_of_both_histories_it_is_unscored(world: Any) -> None:
    """Fails if one history, or one model of it, is enough."""
    for history in ("trained_then_unlearned", "retrained"):
        short = replace(world, shadows={**world.shadows, history: world.shadows[history][:1]})
        reason = ULira().run(short, NO_PROBE).unscored
        assert reason == (
            f"1 shadow models {history.replace('_', ' ')}, and at least 2 are needed; a plan's verify.shadows = N trains them"
        )


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_nothing_was_done_and_the_control(seed: int) -> None:
    """Fails if histories change places, or a retrained model (the control: run it before trusting the attack) stands out.

    Three targets, three retrained models, eight shadow pairs. Over seeds 0, 1 and 2: AUC .78, .76, .79 and of
    retrained models .48, .49, .495; found at 1% false positives: .22, .22, .17 and .01.
    """
    found = removed("do_nothing", seed)
    nothing, control = attacked(ULira(), found.unlearned), attacked(ULira(), found.controls)
    assert nothing.auc.min() > 0.65
    assert nothing.tpr.mean() > 0.04
    assert np.abs(control.auc - 0.5).max() < 0.08
    assert control.tpr.mean() < 0.03


@pytest.mark.parametrize(
    ("method", "seed"),
    [("undial", 0), *(pytest.param(m, s, marks=pytest.mark.slow) for m, s in METHODS)],
)
def test_rows_that_a_population_attack_calls_forgotten_are_found(method: str, seed: int) -> None:
    """Fails if the shadow models were not unlearned by the method (then what is compared is doing nothing), or the loss stands in.

    Areas less those of retrained models, seeds 0, 1 and 2: undial .16, .24, .24 (the loss .04, .03, .02), simnpo .17, .16, .18 (.06, .05,
    .06), random_label .11, .20, .23 (.07, .05, .05). On seeds 3, 4 and 5, looked at afterwards, .23, .16, .22 (.02, .06, .02), .21, .17, .19
    (.04, .08, .04) and .18, .10, .17 (.04, .08, .04): the least lead is random_label's under seed 4.
    """
    found = removed(method, seed)
    above = {
        name: attacked(unit, found.unlearned).auc.mean() - attacked(unit, found.controls).auc.mean()
        for name, unit in (("loss", Loss()), ("u_lira", ULira()))
    }
    assert above["u_lira"] > 0.1
    assert above["loss"] < 0.09
    assert above["u_lira"] > above["loss"]
    assert attacked(ULira(), found.unlearned).tpr.mean() > 2 * attacked(Loss(), found.unlearned).tpr.mean()
    assert np.abs(attacked(ULira(), found.controls).auc - 0.5).max() < 0.08
