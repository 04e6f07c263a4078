"""Likelihood ratios against a population."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from shadowed import DRAWS, attacked, controls, over, see_nothing, shown, targets, with_retrained, with_shadows

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


@pytest.mark.parametrize("seeds", DRAWS)
def test_claim_on_digits_as_they_are(seeds: tuple[int, ...]) -> None:
    """With one or two retrained models, against LiRA with the same two and the loss, it holds at few false positives.

    At 1%, five seeds of four targets: RMIA with one .031 [.024, .038], with two .034 [.030, .038]; LiRA with two .024 [.020, .027], the
    loss none (many rows tie at p = 1). Paired leads over LiRA .008 [.000, .015] (barely) and .010 [.005, .016]. In area they are level, .563
    and .563 against .558, paired .006 [-.013, .024] and .005 [-.010, .020]; the loss .517. With ten .038 against .022, AUC .562 each; with
    32 shadow models .055 against .059, AUC .588 against .583. Control, retrained models in the targets' place: AUC .500, .498 and .501.

    Fails if: p(x) is left out (the ratio would rank as the loss does), or a holdout row is compared with the forget rows.
    """

    def beside(of: Any, count: int) -> Any:
        return lambda seed: with_retrained(of(0.0, seed), count)

    loss = attacked(Loss(), beside(targets, 0), seeds)
    lira = attacked(Lira(offline=True), beside(targets, 2), seeds)
    shown(loss=loss, lira=lira)
    for count in (1, 2):
        found, control = (attacked(Rmia(), beside(of, count), seeds) for of in (targets, controls))
        shown(found=found, control=control, less_lira=found.tpr - lira.tpr, less_lira_auc=found.auc - lira.auc)
        see_nothing(control)
        assert over(found.tpr - lira.tpr).low > 0
        assert over(found.tpr - loss.tpr).low > 0.015
        assert over(found.auc - loss.auc).low > 0.02
    ten, lira_ten = (attacked(unit, beside(targets, 10), seeds) for unit in (Rmia(), Lira(offline=True)))
    every, lira_every = (attacked(unit, lambda seed: targets(0.0, seed), seeds) for unit in (Rmia(), Lira()))
    control = attacked(Rmia(), lambda seed: controls(0.0, seed), seeds)
    shown(ten=ten, lira_ten=lira_ten, every=every, lira_every=lira_every, control=control)
    shown(ten_less=ten.tpr - lira_ten.tpr, ten_less_auc=ten.auc - lira_ten.auc)
    shown(every_less=every.tpr - lira_every.tpr, every_less_auc=every.auc - lira_every.auc)
    see_nothing(control)
    assert over(every.auc - lira_every.auc).low > -0.03
    assert over(every.auc - lira_every.auc).high < 0.03


@pytest.mark.parametrize("seeds", DRAWS)
def test_claim_where_a_fifth_of_the_labels_are_wrong(seeds: tuple[int, ...]) -> None:
    """It holds for two shadow models, one in and one out, against LiRA's least, four: AUC .751 [.744, .758] and .718 [.711, .726].

    It does not for two retrained models: .648 [.638, .657], above the loss's .589 [.583, .595], below LiRA's .673 [.661, .685], paired -.025
    [-.033, -.017] (found at 1%: .038 and .058), nor for ten, .650 against .676. With 32 shadow models the areas are level, .766 and .768, and
    LiRA finds more at 1%: .201 [.191, .211] against .178 [.167, .190]. Control: .501 with two, with the pair and with all.

    Fails if: shadow models are not taken (a pair would do no better than two retrained models), or p(x) is left out.
    """

    def shadowed(of: Any, count: int) -> Any:
        return lambda seed: with_shadows(of(0.2, seed), count)

    def retrained(of: Any, count: int) -> Any:
        return lambda seed: with_retrained(of(0.2, seed), count)

    loss, offline = (attacked(unit, retrained(targets, 2), seeds) for unit in (Loss(), Lira(offline=True)))
    four, lira = (attacked(Lira(), shadowed(targets, count), seeds) for count in (4, 32))
    two, two_control = (attacked(Rmia(), retrained(of, 2), seeds) for of in (targets, controls))
    pair, pair_control = (attacked(Rmia(), shadowed(of, 2), seeds) for of in (targets, controls))
    every, control = (attacked(Rmia(), shadowed(of, 32), seeds) for of in (targets, controls))
    ten, lira_ten = (attacked(unit, retrained(targets, 10), seeds) for unit in (Rmia(), Lira(offline=True)))
    shown(loss=loss, two=two, offline=offline, pair=pair, four=four, every=every, lira=lira, ten=ten, lira_ten=lira_ten)
    shown(two_control=two_control, pair_control=pair_control, control=control)
    less = {"two": two.auc - offline.auc, "pair": pair.auc - four.auc, "every": every.tpr - lira.tpr}
    shown(**less, ten_less=ten.auc - lira_ten.auc, two_at=two.tpr - offline.tpr, two_less_loss=two.auc - loss.auc)
    see_nothing(two_control, pair_control, control)
    assert over(two.auc - loss.auc).low > 0.02
    assert over(two.auc - offline.auc).high < 0
    assert over(two.tpr - 1.5 * loss.tpr).low > 0
    assert over(pair.auc - four.auc).low > 0
    assert over(pair.tpr - 5 * loss.tpr).low > 0
    assert over(every.auc - lira.auc).low > -0.03
    assert over(every.auc - lira.auc).high < 0.03
    assert over(every.tpr - pair.tpr).low > -0.05
    assert over(every.tpr - lira.tpr).high < 0


def test_without_retrained_models_it_is_unscored(models: Any) -> None:
    """Fails if p(x) is made up where no model that never saw x is known."""
    found = Rmia().run(replace(models, retrained=()), NO_PROBE)
    assert found.unscored == "unlearned has no retrained model to take p(x) from"
