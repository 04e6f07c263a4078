"""RWKU's forget score by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from expunge.facts.rows import Row
from expunge.metrics.rwku_forget import RwkuForget


def probe(name: str, level: int, kind: str, value: str, group: str = "p") -> Row:
    return Row(
        id=name,
        fields={"prompt": "?", "answer": f"{value}.", "value": value, "level": level, "probe": kind},
        group=group,
    )


ROWS = [
    probe("a", 1, "fill_in_the_blank", "Rome"),
    probe("b", 2, "question_answering", "New York"),
    probe("c", 2, "question_answering", "Oslo"),
    probe("d", 3, "prefix_injection", "Rome"),
    probe("e", 3, "reverse_query", "Ann Lee"),
]
SAID = ["Rome.", "York it is.", "I do not know.", "Yes, it is Rome.", "Ann Smith."]


def test_levels_and_kinds(evidence: Callable[..., Any]) -> None:
    """Recalls 1, 1/2, 0, 1, 1/2. Fails if a level's mean takes in another's rows, or a kind is averaged with its level."""
    found = RwkuForget().run(evidence({"forget/probes": ROWS}, generations={"forget/probes": SAID}))
    assert {name: score.value for name, score in found.items()} == pytest.approx(
        {
            "forget/probes": 0.6,
            "forget/probes/level_1": 1.0,
            "forget/probes/level_2": 0.25,
            "forget/probes/level_3": 0.75,
            "forget/probes/fill_in_the_blank": 1.0,
            "forget/probes/question_answering": 0.25,
            "forget/probes/prefix_injection": 1.0,
            "forget/probes/reverse_query": 0.5,
        }
    )
    whole = found["forget/probes"]
    assert whole.per_example == pytest.approx((1.0, 0.5, 0.0, 1.0, 0.5))
    assert (found["forget/probes/level_2"].per_example, whole.ideal) == (None, "as_control")
    assert whole.low is not None
    assert whole.high is not None
    assert 0 < whole.low < 0.6 < whole.high < 1


def test_only_probes_to_forget_count(evidence: Callable[..., Any]) -> None:
    """Fails if neighbours, or training rows without a level, are answered for."""
    trained = [Row(id="t", fields={"answer": "Rome.", "probe": "statement"})]
    given = {"forget": trained, "neighbour": ROWS, "forget/probes": ROWS[:1]}
    said = {"forget": ["x"], "neighbour": SAID, "forget/probes": SAID[:1]}
    found = RwkuForget().run(evidence(given, generations=said))
    assert set(found) == {"forget/probes", "forget/probes/level_1", "forget/probes/fill_in_the_blank"}
    bare = RwkuForget().run(evidence({"forget": trained}, generations={"forget": ["x"]}))
    assert bare["forget"].unscored == "no forget row is a probe with a level"


def test_without_generations_it_is_unscored(evidence: Callable[..., Any]) -> None:
    """Fails if probes that nobody answered are 0."""
    found = RwkuForget().run(evidence({"forget/probes": ROWS}))
    assert {score.unscored for score in found.values()} == {"nothing was generated for 'forget/probes'"}
