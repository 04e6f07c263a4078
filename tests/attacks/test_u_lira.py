"""LiRA for unlearned models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm
from shadowed import FEW, MANY, REPORTED, Found, attacked, over, removed, see_nothing, shown

from expunge.attacks.loss import Loss
from expunge.attacks.u_lira import HISTORIES, ULira
from expunge.statistics.auc import auc

NO_PROBE: Any = None
METHODS = ("undial", "simnpo", "random_label")
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


def found_after(unit: Any, method: str, size: tuple[int, int], seeds: tuple[int, ...]) -> tuple[Found, Found]:
    """What an attack reaches on unlearned models, and on retrained ones."""
    return (
        attacked(unit, lambda seed: removed(method, size, seed).unlearned, seeds),
        attacked(unit, lambda seed: removed(method, size, seed).controls, seeds),
    )


@pytest.mark.parametrize(
    ("size", "seeds"),
    [pytest.param(FEW, (0,), id="one"), pytest.param(MANY, REPORTED, id="five", marks=pytest.mark.slow)],
)
def test_nothing_was_done_and_the_control(size: tuple[int, int], seeds: tuple[int, ...]) -> None:
    """Ten targets and ten retrained models a seed, 16 shadow pairs, five seeds, 95% intervals; seed 0 with 3 targets and 8 pairs.

    AUC .795 [.787, .803], of retrained models .486 [.472, .500]; found at 1% false positives .178 [.132, .225] and .011 [.007, .014].

    Fails if: histories change places, or a retrained model (the control: run it before trusting the attack) stands out.
    """
    nothing, control = found_after(ULira(), "do_nothing", size, seeds)
    shown(nothing=nothing, control=control)
    see_nothing(control)
    assert nothing.auc.min() > 0.65
    assert over(nothing.tpr).low > 0.04


@pytest.mark.parametrize(
    ("method", "size", "seeds"),
    [
        pytest.param("simnpo", FEW, (0,), id="simnpo-one"),
        *(pytest.param(one, MANY, REPORTED, id=f"{one}-five", marks=pytest.mark.slow) for one in METHODS),
    ],
)
def test_claim_rows_that_a_population_attack_calls_forgotten_are_found(
    method: str, size: tuple[int, int], seeds: tuple[int, ...]
) -> None:
    """It holds. Areas less those of the control (ten retrained models), 95% intervals over five seeds, by U-LiRA and by the loss:

    undial .196 [.140, .253] and .042 [.025, .058], simnpo .158 [.122, .194] and .067 [.062, .072], random_label .160 [.101, .218] and .066
    [.052, .080]. The control itself: .506 [.474, .538], .495 [.482, .508], .502 [.468, .536]. Found at 1% false positives .117, .115 and
    .072; by the loss .004, .016 and .007; of the control .009, .012 and .009. On seed 0 with 8 pairs, simnpo: .185 and .058.

    Fails if: histories change places, the loss stands in, or a split's rows are scored by which split it is (the control).
    """
    found, control = found_after(ULira(), method, size, seeds)
    loss, loss_control = found_after(Loss(), method, size, seeds)
    shown(found=found, control=control, loss=loss, loss_control=loss_control)
    see_nothing(control)
    above, by_loss = found.auc.mean(1) - control.auc.mean(1), loss.auc.mean(1) - loss_control.auc.mean(1)
    shown(above=above, by_loss=by_loss, lead=above - by_loss)
    assert over(above).low > 0.1
    assert over(by_loss).high < 0.09
    assert over(above - by_loss).low > 0
    assert over(found.tpr - 2 * loss.tpr).low > 0


def test_shadow_models_are_unlearned_by_the_method() -> None:
    """Mean phi of the forget rows after simnpo .88, before it 2.10.

    The claim test does not see it: beside shadow models left as they were U-LiRA reaches .678, beside unlearned ones .676 (found at 1%:
    .184 and .142). Control .491.

    Fails if: shadow models are left as they were.
    """
    one, before = (removed(method, FEW, 0).unlearned for method in ("simnpo", "do_nothing"))
    sure, sure_before = (
        float(np.mean([phi_of(shadow, "forget") for shadow in models[0].shadows[HISTORIES[0]]]))
        for models in (one, before)
    )
    left = [replace(model, shadows=before[0].shadows) for model in one]
    control = attacked(ULira(), lambda seed: removed("simnpo", FEW, seed).controls, (0,))
    shown(
        left=attacked(ULira(), lambda _: left, (0,)), unlearned=attacked(ULira(), lambda _: one, (0,)), control=control
    )
    print(sure, sure_before)
    assert sure < sure_before - 1
