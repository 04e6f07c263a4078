"""RWKU's forget score by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import protocols
import pytest

from expunge.facts.rows import Row
from expunge.metrics.rwku_forget import RwkuForget
from expunge.statistics.rwku import ADVERSARIAL


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


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_claim_no_adversarial_frame_keeps_what_questions_lost() -> None:
    """The claim does not hold in a model of 0.5M parameters. Three draws of people, nine frames, three methods.

    Eight frames are read by the target (reverse queries are not). None of them says more than questions do, by its interval, after ascent,
    gradient difference or RMU: of questions .15, .04 and .22 are left; most above lies
    the frame in another language, .06 [-.08, .19] after ascent and .04 after RMU.
    Fails if frames are pooled, or a frame is read that the target does not read.
    """
    found, read = protocols.rwku(), "rwku_forget:forget/probes/"
    kinds = [one for one in ADVERSARIAL if found.over("target", f"{read}{one}").estimate > 0.5]
    assert len(kinds) >= 7
    for method in ("ascent", "grad_diff", "rmu"):
        for kind in kinds:
            assert found.over(method, f"{read}{kind}", than=f"{read}level_2").low < 0.05
    for kind in kinds:
        assert found.over("retrained", f"{read}{kind}").estimate < 0.15
