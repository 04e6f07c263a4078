"""Reading the order of training."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from classifiers import over
from scipy.stats import combine_pvalues, kendalltau, kstest
from text_models import SEEDS, draw

from expunge.attacks.palimpsest import Palimpsest, seen_at
from expunge.contract.evidence import Evidence
from expunge.contract.job import Job
from expunge.engine.fit import fit
from expunge.engine.order import ordered
from expunge.engine.readings import own_scores
from expunge.engine.score import score
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Row, Rows
from expunge.statistics.training_order import order_correlation
from expunge.testbeds.problem import Problem

RECIPE = Recipe(epochs=1, lr=8e-3, batch_size=4, schedule="constant", seed=0)


def knowing(recipe: Recipe | None) -> Any:
    return SimpleNamespace(job=Job(recipe=recipe))


def test_the_order_is_that_of_training() -> None:
    """Fails if the order is turned over, another epoch's, or changed by the rows that stood in between."""
    rows = Rows(tuple(Row(id=str(i), fields={}) for i in range(30)))
    whole = seen_at(rows, 3, 2)
    assert [rows.ids[i] for i in np.argsort(whole)] == [rows.ids[i] for i in ordered(rows, 3, 2)]
    part = rows.take([4, 9, 17, 28])
    assert np.argsort(seen_at(part, 3, 2)).tolist() == np.argsort(whole[[4, 9, 17, 28]]).tolist()
    assert seen_at(rows, 3, 1).tolist() != whole.tolist()


def test_success_is_concordance_with_the_last_epoch(evidence: Any) -> None:
    """Fails if the first epoch's order counts, the curve lacks an epoch, or its seed is the job's and not the recipe's."""
    recipe = Recipe(epochs=3, seed=5)
    rows = Rows(tuple(Row(id=f"forget-{i}", fields={}) for i in range(12)))
    likely = seen_at(rows, 5, 2) / 12 - 2
    given = evidence({"forget": [[float(value)] for value in likely], "holdout": [[-1.0], [-1.0]]})
    found = Palimpsest().run(given, knowing(recipe))
    assert found.forget == (1.0,) * 12
    assert [point for point, _ in found.curve] == [1.0, 2.0, 3.0]
    assert found.curve[0][1] == pytest.approx((1 + kendalltau(seen_at(rows, 5, 0), likely).statistic) / 2)
    assert found.item_control == (0.5, 0.5)
    assert Palimpsest(epoch=1).run(given, knowing(recipe)).curve == found.curve[:1]


def test_an_order_that_is_not_known_is_not_made_up(evidence: Any) -> None:
    """Fails if seed 0 stands in for a recipe, or an epoch that training may not have reached is taken."""
    given = evidence({"forget": [[-1.0], [-2.0]]})
    assert "there is no recipe" in str(Palimpsest().run(given, knowing(None)).unscored)
    early = Recipe(epochs=3, stop_loss=0.1)
    assert "give palimpsest its epoch" in str(Palimpsest().run(given, knowing(early)).unscored)
    assert Palimpsest(epoch=2).run(given, knowing(early)).unscored is None
    with pytest.raises(ValueError, match="counted from 1"):
        Palimpsest(epoch=-1)


def read_of(problem: Problem, seed: int = 0) -> dict[str, tuple[float, np.ndarray]]:
    """Mean concordance of a model trained on all rows in batches of 4 and of one trained without those to forget, and how likely rows are."""
    forget, retain = (
        Rows(tuple(row.replace(perturbed_answers=(), paraphrased_answer="") for row in problem.splits.rows[split]))
        for split in ("forget", "retain")
    )
    found = {}
    for name, rows, own in (("target", Rows((*forget, *retain)), seed), ("retrained", retain, seed + 1)):
        recipe = RECIPE.model_copy(update={"seed": own})
        model = fit(problem.untrained.fresh(own), rows, recipe, job=Job(seed=own))
        one = Evidence(name=name, role=name, modality="text", rows={"forget": forget})
        one = replace(one, scores={"forget": score(model, forget, job=Job())})
        outcome = Palimpsest().run(one, knowing(RECIPE.model_copy(update={"seed": seed})))
        found[name] = (float(np.mean(outcome.forget)), own_scores(one, "forget").mean_log_prob())
    return found


def test_the_order_shows_in_the_target_and_in_no_other_model(text_problem: Problem) -> None:
    """One epoch at a constant rate in batches of 4: the target's order shows; another model's p-values are uniform over orders.

    Measured on 80 forget rows: target rho .43, p 1e-4, concordance .66; a model trained without them rho .02, concordance .50. Under
    the testbed's own recipe (20 epochs, batches of 32, the rate falling to 0) rho is .01: there is nothing to read.
    Fails if likelihoods are negated, or the order of another seed does as well.
    """
    found, forget = read_of(text_problem), text_problem.splits.rows["forget"]
    assert found["target"][0] > 0.58
    assert abs(found["retrained"][0] - 0.5) < 0.08
    assert order_correlation(seen_at(forget, 0, 0), found["target"][1]).p < 1e-3
    for _, likely in found.values():
        p = [order_correlation(seen_at(forget, seed, 0), likely, draws=199).p for seed in range(1, 151)]
        assert kstest(p, "uniform").pvalue > 0.01


@pytest.mark.slow
def test_claim_the_order_shows_over_five_draws() -> None:
    """Five draws of people and orders: concordance .59 [.54, .64] for the target of 80 rows, .48 [.41, .55] for a
    model without them. One epoch, a constant rate, batches of 4.

    A single order is not always seen at p < 1e-3 (p .023, .002, .0001, .17, .023), as the paper has it of far more rows; the five together are.
    Those of models that never saw the rows (.80, 1.0, .20, .67, .30) are not.

    Fails if the order is another epoch's, or a model that never saw the rows has one.
    """
    draws, p = [], {"target": [], "retrained": []}
    for seed in SEEDS:
        problem = draw(seed).problem
        found = read_of(problem, seed)
        order = seen_at(problem.splits.rows["forget"], seed, 0)
        draws.append({name: mean for name, (mean, _) in found.items()})
        for name, (_, likely) in found.items():
            p[name].append(order_correlation(order, likely).p)
    print(p)
    assert over(draws, "target").low > 0.5
    assert 0.4 < over(draws, "retrained").low < over(draws, "retrained").high < 0.6
    assert combine_pvalues(p["target"]).pvalue < 1e-3
    assert combine_pvalues(p["retrained"]).pvalue > 0.05
