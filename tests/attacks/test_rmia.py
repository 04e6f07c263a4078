"""Likelihood ratios against a population."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from shadowed import attacked, targets, with_retrained, with_shadows

from expunge.attacks.lira import Lira
from expunge.attacks.loss import Loss
from expunge.attacks.rmia import Rmia
from expunge.facts.rows import Rows

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


def test_shadow_models_are_the_reference_models_where_there_are_any(models: Any, evidence: Callable[..., Any]) -> None:
    """Fails if in and out models are averaged together (here two are in, three out), or the retrained models still count."""
    draw = np.random.default_rng(1)
    ids = {split: models.rows[split].ids for split in ("forget", "holdout")}

    def shadow(name: str, inside: dict[str, np.ndarray]) -> Any:
        one = evidence(
            {split: (-draw.exponential(size=(len(ids[split]), 2)) - 0.1).tolist() for split in ids}, name=name
        )
        own = [row for split in ids for row, known in zip(one.rows[split], inside[split], strict=True) if known]
        return replace(one, rows={**one.rows, "members": Rows(tuple(own))})

    known = [{split: np.arange(len(ids[split])) % 3 == i % 3 for split in ids} for i in range(5)]
    shadows = tuple(shadow(f"s{i}", one) for i, one in enumerate(known))

    def p(one: Any, split: str) -> np.ndarray:
        return np.array([np.exp(np.mean(values)) for values in one.scores[split].log_prob.reshape(-1, 2)])

    def ratio(split: str) -> np.ndarray:
        table, inside = np.array([p(one, split) for one in shadows]), np.array([one[split] for one in known])
        each = [(table[inside[:, i], i].mean() + table[~inside[:, i], i].mean()) / 2 for i in range(table.shape[1])]
        return p(models, split) / np.array(each)

    found = Rmia().run(replace(models, shadows={"halves": shadows}), NO_PROBE)
    population = ratio("holdout")
    assert found.forget == pytest.approx([np.mean(x > population) for x in ratio("forget")], abs=1e-12)
    alone = Rmia().run(replace(models, shadows={"halves": shadows}, retrained=()), NO_PROBE)
    assert alone.forget == found.forget
    assert Rmia().run(models, NO_PROBE).forget != found.forget
    silent = replace(shadows[0], rows=models.rows)
    unknown = Rmia().run(replace(models, shadows={"halves": (silent,)}), NO_PROBE)
    assert "does not say on which rows" in str(unknown.unscored)


SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_claim_holds_on_digits_as_they_are(seed: int) -> None:
    """Fails if p(x) is left out (the ratio would rank as the loss does), or a holdout row is compared with the forget rows.

    One or two retrained models, against LiRA with the same two and against the loss. True positives at 1% false ones, seeds 0, 1 and 2:
    RMIA with one .032, .031, .029, with two .034, .027, .032; LiRA .014, .022, .017; the loss none (many rows tie at p = 1). In area LiRA
    with two is level, .56, .55, .56 against .56, .55, .57; with 32 shadow models both have .59 to .60, RMIA .05 at 1% and LiRA .05 to .06.
    """
    loss = attacked(Loss(), targets(seed, 0.0))
    lira = attacked(Lira(offline=True), targets(seed, 0.0))
    for count in (1, 2):
        found = attacked(Rmia(), [with_retrained(one, count) for one in targets(seed, 0.0)])
        assert found.tpr.mean() > lira.tpr.mean()
        assert found.tpr.mean() > loss.tpr.mean() + 0.015
        assert found.auc.mean() > loss.auc.mean() + 0.02
    every, lira = attacked(Rmia(), targets(seed, 0.0)), attacked(Lira(), targets(seed, 0.0))
    assert abs(every.auc.mean() - lira.auc.mean()) < 0.03


@pytest.mark.parametrize("seed", SEEDS)
def test_the_claim_where_a_fifth_of_the_labels_are_wrong(seed: int) -> None:
    """Fails if shadow models are not taken: a pair would do no better than two retrained models.

    It holds for two shadow models, one in and one out (LiRA needs four): AUC .77, .75, .75 against .72, .72, .745 under seeds 0, 1 and 2. It
    does not for two retrained ones: .66, .635, .64, above the loss's .59, below LiRA's .69, .655, .65 (found at 1%: .05, .03, .04 against
    .09, .11, .04); on seeds 3, 4 and 5, looked at afterwards, .66, .64, .64 against .67, .64, .66: below it in the mean, level on one. With
    32 both have .76 to .78, and LiRA finds more at 1%: .19 to .20 against .16 to .17.
    """
    world = targets(seed, 0.2)
    loss, offline = attacked(Loss(), world), attacked(Lira(offline=True), world)
    four = attacked(Lira(), [with_shadows(one, 4) for one in world])
    retrained = attacked(Rmia(), [with_retrained(one, 2) for one in world])
    pair = attacked(Rmia(), [with_shadows(one, 2) for one in world])
    assert loss.auc.mean() + 0.02 < retrained.auc.mean() < offline.auc.mean() + 0.01
    assert retrained.tpr.mean() > 1.5 * loss.tpr.mean()
    assert pair.auc.mean() > four.auc.mean()
    assert pair.tpr.mean() > 5 * loss.tpr.mean()
    every, lira = attacked(Rmia(), world), attacked(Lira(), world)
    assert abs(every.auc.mean() - lira.auc.mean()) < 0.03
    assert pair.tpr.mean() - 0.05 < every.tpr.mean() < lira.tpr.mean()


def test_without_retrained_models_it_is_unscored(models: Any) -> None:
    """Fails if p(x) is made up where no model that never saw x is known."""
    found = Rmia().run(replace(models, retrained=()), NO_PROBE)
    assert found.unscored == "unlearned has no retrained model to take p(x) from"
