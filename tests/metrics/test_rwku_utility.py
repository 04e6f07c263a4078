"""RWKU's five abilities by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import protocols
import pytest

from expunge.facts.rows import Row
from expunge.metrics.rwku_utility import RwkuUtility


def row(name: str, ability: str, **fields: object) -> Row:
    return Row(id=name, fields={"ability": ability, "answer": "x", **fields})


CHOICES = [
    row(name, ability, perturbed_answers=("y", "z"))
    for name, ability in (("a", "general"), ("b", "general"), ("c", "truthfulness"))
]
SPOKEN = [
    row("r1", "reasoning", answers=("(B)",)),
    row("r2", "reasoning", answer="7"),
    row("f1", "factuality", answers=("rim of fire", "ring")),
]
FLUENT = [row("w1", "fluency"), row("w2", "fluency")]


def logs(**own: tuple[list[float], list[float], list[float]]) -> dict[tuple[str, str], list[float]]:
    """Log-probabilities of the right answer and of two wrong ones, a closing position behind each."""
    names = ("answer", "perturbed_answer/0", "perturbed_answer/1")
    return {(name, kind): [*one, -9.0] for name, three in own.items() for kind, one in zip(names, three, strict=True)}


def test_choices_compare_whole_answers_without_their_end(
    evidence: Callable[..., Any], scores: Callable[..., Any]
) -> None:
    """a: -1 against -3 and -1.5, right. b: two tokens, -2.4, lose to -2 (by the mean, -1.2, they would win). c: a tie, wrong.

    Fails if a mean a token is compared, the end counts (b would have -2.5 against -11), the worst rival counts, or ties are right.
    """
    given = logs(a=([-1.0], [-3.0], [-1.5]), b=([-1.2, -1.2], [-2.0], [-4.0]), c=([-2.0], [-2.0], [-3.0]))
    given["b", "answer"][-1] = -0.1
    found = RwkuUtility().run(evidence({"test": CHOICES}, scores={"test": scores(given)}))
    assert (found["test/general"].value, found["test/general"].n) == (0.5, 2)
    assert found["test/truthfulness"].value == 0.0


def test_what_is_said(evidence: Callable[..., Any]) -> None:
    """Exact match 1 and 0, F1 2/4 of ring, entropy of `a b a b` and of one word: half of the former.

    Fails if reasoning looks at the whole text where it concludes, F1 at the first answer alone, or a text without n-grams is left out.
    """
    said = ["It is so. The answer is (B).", "The answer is 8.", "a fire ring in asia"]
    rows = {"test": SPOKEN, "fluency": FLUENT}
    found = RwkuUtility().run(evidence(rows, generations={"test": said, "fluency": ["a b a b", "a"]}))
    assert found["test/reasoning"].value == 0.5
    assert found["test/factuality"].value == pytest.approx(2 * 1 / (4 + 1))
    entropy = (2 / 3 * (math.log2(3) - 2 / 3) + 4 / 3) / 2
    assert found["fluency/fluency"].value == pytest.approx(entropy / 2)
    assert found["fluency/fluency"].per_example == pytest.approx((entropy, 0.0))
    assert {score.ideal for score in found.values()} == {"higher"}


def test_a_choice_of_one_is_no_choice(evidence: Callable[..., Any], scores: Callable[..., Any]) -> None:
    """Fails if a row without wrong answers is right by default."""
    bare = scores({("a", "answer"): [-1.0, -1.0]})
    found = RwkuUtility().run(evidence({"test": [row("a", "general")]}, scores={"test": bare}))
    assert found["test/general"].unscored == "1 of 1 test rows have no wrong answer to choose between"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_claim_utility_falls_and_fluency_is_not_the_first() -> None:
    """Half of the claim holds in a model of 0.5M parameters. Three draws of people.

    It falls in four abilities after ascent and gradient difference (factuality .15 and .02, general .01 and .17, reasoning .22 and .31,
    truthfulness .01 and .01), in none of them by its interval; fluency by .02 and .32 of 4.57 bits: ascent leaves it nearly whole.
    Fails if an ability is read of another's rows.
    """
    found = protocols.rwku()
    abilities = ("factuality", "general", "reasoning", "truthfulness")
    for method in ("ascent", "grad_diff"):
        for ability in abilities:
            assert found.over(method, f"rwku_utility:test/{ability}", less="target").estimate <= 0.01
        assert found.over(method, "rwku_utility:fluency/fluency", less="target").estimate <= 0
