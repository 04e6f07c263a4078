"""Probability of the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from classifiers import SEEDS, Measured, a_class, noise, over, read

from expunge.contract.apply import unlearn
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.facts.rows import Row
from expunge.methods.simnpo import SimNPO
from expunge.metrics.probability import Probability
from expunge.pipeline.measure import Measurer, Wanted

ROWS = [Row(id="a", fields={"answer": "x"}), Row(id="b", fields={"answer": "y"})]
QUARTER = float(np.log(0.25))


def test_mean_over_an_answers_own_tokens(scores: Callable[..., Any], evidence: Callable[..., Any]) -> None:
    """Fails if the end token is left out, tokens are pooled over rows, or exp is taken before the mean."""
    passed = scores({("a", "answer"): [0.0, 2 * QUARTER], ("b", "answer"): [QUARTER] * 4})
    found = Probability().run(evidence({"forget": ROWS}, scores={"forget": passed}))
    assert found["forget"].per_example == pytest.approx((0.25, 0.25))
    assert found["forget"].value == pytest.approx(0.25)
    assert found["forget"].ideal == "as_control"
    assert list(found) == ["forget"]


def test_normalised_where_every_row_has_wrong_answers(scores: Callable[..., Any], evidence: Callable[..., Any]) -> None:
    """Fails if the normalised form is left out for real authors, or made up where a row has no wrong answers."""
    rows = [row.replace(perturbed_answers=("p", "q")) for row in ROWS]
    keys = [(row.id, name) for row in rows for name in ("answer", "perturbed_answer/0", "perturbed_answer/1")]
    passed = scores({key: [QUARTER] for key in keys})
    found = Probability().run(evidence({"real_authors": rows, "test": [rows[0], ROWS[1]]}, scores={
        "real_authors": passed, "test": passed.take([0, 1, 2, 3]),
    }))  # fmt: skip
    assert found["real_authors/normalised"].per_example == pytest.approx((1 / 3, 1 / 3))
    assert found["real_authors/normalised"].ideal == "higher"
    assert "test/normalised" not in found
    assert found["test"].value == pytest.approx(0.25)


def test_nan_is_unscored(scores: Callable[..., Any], evidence: Callable[..., Any]) -> None:
    """Fails if NaN becomes 0, is dropped, or reaches the score (a peer's defect)."""
    passed = scores({("a", "answer"): [np.nan], ("b", "answer"): [QUARTER]})
    found = Probability().run(evidence({"forget": ROWS}, scores={"forget": passed}))
    assert found["forget"].value is None
    assert found["forget"].unscored == "1 of 2 rows have no finite number"


def test_an_empty_answer_and_missing_scores_are_unscored(
    scores: Callable[..., Any], evidence: Callable[..., Any]
) -> None:
    """Fails if an answer without a position gives a number, or a split without scores is left out silently."""
    empty = scores({("a", "answer"): [], ("b", "answer"): [QUARTER]}, ends=False)
    found = Probability().run(evidence({"forget": ROWS, "retain": ROWS}, scores={"forget": empty}))
    assert found["forget"].unscored == "answer 1 of 2 has no scored position"
    assert found["retain"].unscored == "no scores of 'retain' were computed"


@pytest.mark.slow
def test_claim_near_one_in_the_target_and_near_a_retrained_models_after_forgetting() -> None:
    """Five draws of digits and models, SimNPO at its defaults, ten retrained models. A class: .98 in the target, 0 after and 0 in these. A tenth
    of the rows, a fifth of them with a wrong label: .79 [.78, .81], .62 [.60, .63] and .64 [.61, .67]; -.02 [-.05, .01] from these.

    Fails if the probability is another answer's, or forgetting is not seen in it.
    """
    for name, of, least in (("class", a_class, 0.95), ("rows", noise, 0.7)):
        draws = []
        for at in map(of, SEEDS):
            problem = at.problem
            model, _ = unlearn(SimNPO(), problem.target, problem.splits, job=Job())
            again = [probability(one, at) for one in problem.retrained]
            draws.append(
                {
                    "target": probability(problem.target, at),
                    "after": probability(model, at),
                    "again": float(np.mean(again)),
                }
            )
        print(name)
        assert over(draws, "target").low > least
        away = over(draws, "after", less="again")
        assert max(-away.low, away.high) < 0.1 < over(draws, "target", less="again").low


def probability(model: Model, at: Measured) -> float:
    """The metric of the forget rows under a model."""
    wanted = Wanted(frozenset({"scores"}), {"forget": at.problem.splits.rows["forget"]})
    return read(Probability(), Measurer(Job()).evidence(model, wanted, name="one", role="unlearned"), "forget")
