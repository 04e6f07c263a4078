"""The harmonic mean of nine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from expunge.facts.rows import Row
from expunge.metrics.tofu_model_utility import TofuModelUtility

SPLITS = ("retain", "real_authors", "world_facts")
ROWS = [Row(id="a", fields={"answer": "one two", "perturbed_answers": ("p",)})]


@pytest.fixture
def model(scores: Callable[..., Any], evidence: Callable[..., Any]) -> Callable[..., Any]:
    def make(splits: tuple[str, ...] = SPLITS, said: str = "one", wrong: float = 0.25) -> Any:
        passed = scores({("a", "answer"): [float(np.log(0.5))], ("a", "perturbed_answer/0"): [float(np.log(wrong))]})
        return evidence(
            dict.fromkeys(splits, ROWS),
            scores=dict.fromkeys(splits, passed),
            generations={split: [said] for split in splits},
        )

    return make


def test_nine_numbers_by_hand(model: Callable[..., Any]) -> None:
    """Fails if probability is not normalised for the public sets (or is for retain), or a mean other than the harmonic is taken.

    Retain: p .5, recall .5, truth .5; public sets: p .5 / .75, recall .5, truth .5.
    """
    found = TofuModelUtility().run(model())
    assert found["utility"].value == pytest.approx(9 / (7 / 0.5 + 2 / (2 / 3)))
    assert found["utility/retain"].value == pytest.approx(0.5)


def test_one_zero_makes_it_zero(model: Callable[..., Any]) -> None:
    """Fails if a zero among the nine is left out of the mean."""
    assert TofuModelUtility().run(model(said="nothing"))["utility"].value == 0.0
    assert TofuModelUtility().run(model(wrong=0.75))["utility/retain"].value == 0.0


def test_missing_sets_are_unscored(model: Callable[..., Any]) -> None:
    """Fails if the mean is taken over the sets that happen to be there."""
    found = TofuModelUtility().run(model(splits=("retain",)))
    assert found["utility"].unscored == "there are no real_authors rows"
    assert found["utility/retain"].value == pytest.approx(0.5)


def test_retain_perturbed_is_preferred(model: Callable[..., Any]) -> None:
    """Fails if the plain retain rows (no perturbed answers in TOFU) are taken where their perturbed form is there."""
    given = model(splits=("retain_perturbed", *SPLITS))
    object.__setattr__(given, "generations", {**given.generations, "retain": ["nothing"]})
    assert TofuModelUtility().run(given)["utility/retain"].value == pytest.approx(0.5)
