"""The ruler of the table problem."""

from __future__ import annotations

from statistics import fmean

import numpy as np
import pytest
from torch import nn

from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.engine.fit import fit
from expunge.engine.score import score
from expunge.facts.rows import Rows
from expunge.testbeds.problem import Problem
from expunge.testbeds.tabular import CLASSES, planted_rows


def accuracy(model: Model, rows: Rows) -> float:
    return float((score(model, rows, job=Job()).rank == 0).mean())


def gap_closed(problem: Problem, model: Model) -> float:
    forget = problem.splits.rows["forget"]
    target = accuracy(problem.target, forget)
    return (target - accuracy(model, forget)) / (target - fmean(accuracy(one, forget) for one in problem.retrained))


def test_planted_rows_have_the_nearest_centres_label_and_wrong_rows_never_do() -> None:
    """Fails if a wrong label may equal the true one, or vectors are not drawn around the label's own centres."""
    clean, wrong = planted_rows(3000, seed=1)
    labels = np.array([row["label"] for row in clean])
    assert [row["clean_label"] for row in wrong] == labels.tolist()
    assert not (np.array([row["label"] for row in wrong]) == labels).any()
    assert {row["label"] for row in wrong} == set(range(CLASSES))
    vectors = np.stack([row["features"] for row in clean])
    halves = [
        np.stack([vectors[part][labels[part] == label].mean(0) for label in range(CLASSES)])
        for part in (slice(0, 1500), slice(1500, 3000))
    ]
    apart = np.linalg.norm(halves[0][:, None] - halves[1][None], axis=2)
    assert (apart.argmin(1) == np.arange(CLASSES)).all()
    assert planted_rows(5, seed=1)[0].digest() == planted_rows(5, seed=1)[0].digest()


def test_wrong_labels_are_known_only_to_a_model_trained_on_them(tabular_problem: Problem) -> None:
    """Fails if the mislabelled forget rows also stand in retain with either label."""
    rows = tabular_problem.splits.rows
    assert accuracy(tabular_problem.target, rows["forget"]) >= 0.99
    assert accuracy(tabular_problem.target, rows["holdout"]) <= 0.2
    for retrained in tabular_problem.retrained:
        assert accuracy(retrained, rows["forget"]) <= 0.1
        assert accuracy(retrained, rows["retain"]) >= 0.99
        assert accuracy(retrained, rows["test"]) >= 0.9


def test_untouched_closes_nothing_retrained_all_and_zeroed_is_wrecked(tabular_problem: Problem) -> None:
    """Fails if the gap is measured on the wrong rows."""
    assert gap_closed(tabular_problem, tabular_problem.target.copy()) == 0
    assert fmean(gap_closed(tabular_problem, one) for one in tabular_problem.retrained) == pytest.approx(1)
    assert all(0.9 < gap_closed(tabular_problem, one) < 1.1 for one in tabular_problem.retrained)
    wrecked = tabular_problem.target.copy()
    for parameter in wrecked.module.parameters():
        nn.init.zeros_(parameter)
    assert accuracy(wrecked, tabular_problem.splits.rows["test"]) < 0.4
    assert accuracy(tabular_problem.untrained, tabular_problem.splits.rows["test"]) < 0.4


def test_finetuning_on_retain_does_not_reach_the_retrained_models(tabular_problem: Problem) -> None:
    """The weak baseline, at the training rate and length: it closes a part (measured 0.60), not the gap."""
    recipe = tabular_problem.recipe.model_copy(update={"seed": 50})
    model = fit(tabular_problem.target.copy(), tabular_problem.splits.rows["retain"], recipe, job=Job(seed=50))
    assert 0.2 < gap_closed(tabular_problem, model) < 0.8
