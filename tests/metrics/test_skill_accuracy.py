"""Accuracy by skill, by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import protocols
import pytest

from expunge.facts.rows import Row
from expunge.metrics.skill_accuracy import SkillAccuracy


def row(i: int, answer: str, skill: str | None = "first") -> Row:
    return Row(id=f"{skill}{i}", fields={"answer": answer, "value": answer, **({"skill": skill} if skill else {})})


def test_accuracy_and_chance(evidence: Callable[..., Any]) -> None:
    """Forget answers a a b: said a, b, B -> 1/3, chance 2/3; test of two skills 1 of 2 and 1 of 1.

    Fails if an answer inside a longer one counts (`ab`), case is dropped, skills are pooled, or rows without one count.
    """
    given = {
        "forget": [row(0, "a"), row(1, "a"), row(2, "b")],
        "forget/unseen": [row(3, "a")],
        "test": [row(4, "c", "copy"), row(5, "d", "copy"), row(6, "e", "last"), row(7, "e", None)],
    }
    said = {"forget": [" a ", "b", "B"], "forget/unseen": ["a b"], "test": ["c", "c", "e", "x"]}
    found = SkillAccuracy().run(evidence(given, generations=said))
    assert {key: score.value for key, score in found.items()} == pytest.approx(
        {"forget": 1 / 3, "forget/chance": 2 / 3, "forget/unseen": 0.0, "forget/unseen/chance": 1.0,
         "test": 2 / 3, "test/copy": 1 / 2, "test/last": 1.0}
    )  # fmt: skip
    assert found["forget"].per_example == (1.0, 0.0, 0.0)
    assert found["test"].per_example is None
    assert (found["forget"].ideal, found["test"].ideal) == ("as_control", "higher")


def test_rows_without_a_skill_are_unscored(evidence: Callable[..., Any]) -> None:
    """Fails if forget rows that are of no skill give 0, or nothing at all."""
    found = SkillAccuracy().run(evidence({"forget": [row(0, "a", None)]}, generations={"forget": ["a"]}))
    assert found["forget"].unscored == "no forget row has a skill"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_claim_random_answers_bring_given_and_unseen_examples_near_chance() -> None:
    """Three draws of examples, two skills. The target has all. After random answers `first`
    lies .02 [-.09, .12] above chance on given and .03 [-.20, .26] on unseen examples, `copy` at it. That skills differ does not show.

    Fails if chance is another skill's, or trained and unseen examples are one set.
    """
    for skill in ("first", "copy"):
        found, read = protocols.skills(skill), "skill_accuracy:forget"
        for part in ("", "/unseen"):
            assert found.over("target", f"{read}{part}").low > 0.9
            assert found.over("random_answer", f"{read}{part}", than=f"{read}/chance").estimate < 0.1
