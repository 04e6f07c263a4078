"""Where an answer went."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from classifiers import over
from text_models import five_of

from expunge.facts.rows import Row
from expunge.metrics.mass_destination import SPOKEN, MassDestination

ROW = Row(
    id="a",
    fields={"prompt": "Capital?", "answer": "It is Rome.", "value": "Rome", "perturbed_answers": ("Oslo.", "Bern.")},
)
OTHERS = [Row(id=name, fields={"prompt": "Capital?", "answer": f"{name}.", "value": name}) for name in ("Oslo", "Bern")]
LOGS = {("a", "answer"): [np.log(0.5), np.log(0.5)], ("a", "perturbed_answer/0"): [np.log(0.2)]} | {
    ("a", "perturbed_answer/1"): [np.log(0.25)]
}


def test_masses_by_hand(scores: Callable[..., Any], evidence: Callable[..., Any]) -> None:
    """Fails if the rest is not what is left of 1, or a refusal that no row lists is 0 in place of unscored."""
    found = MassDestination().run(evidence({"forget": [ROW]}, scores={"forget": scores(LOGS)}))
    masses = {kind: found[f"forget/{kind}"].value for kind in ("true", "wrong", "elsewhere")}
    assert masses == pytest.approx({"true": 0.25, "wrong": 0.45, "elsewhere": 0.3})
    assert found["forget/refusal"].unscored == "1 of 1 rows have no refusal among their scored answers"
    assert found["forget/said_true"].unscored == "nothing was generated for 'forget'"


def test_a_refusal_that_is_scored_is_read(scores: Callable[..., Any], evidence: Callable[..., Any]) -> None:
    """Fails if a perturbed answer that declines counts as a wrong fact."""
    row = ROW.replace(perturbed_answers=("Oslo.", "I do not know."))
    found = MassDestination().run(evidence({"forget": [row]}, scores={"forget": scores(LOGS)}))
    assert found["forget/refusal"].value == pytest.approx(0.25)
    assert found["forget/wrong"].value == pytest.approx(0.2)


def test_probabilities_above_1_are_no_probabilities(scores: Callable[..., Any], evidence: Callable[..., Any]) -> None:
    """Fails if answers that overlap (cut off at the same place) leave 0 for the rest without a word."""
    found = MassDestination().run(evidence({"forget": [ROW]}, scores={"forget": scores({key: [0.0] for key in LOGS})}))
    assert found["forget/elsewhere"].unscored is not None
    assert "overlap" in found["forget/elsewhere"].unscored


def test_said_by_hand(evidence: Callable[..., Any]) -> None:
    """Fails if the shares do not add up to 1, or rows without a value are counted."""
    rows = [ROW, *OTHERS, Row(id="bare", fields={"prompt": "Capital?", "answer": "x"})]
    said = ["It is Bern.", "I do not know.", "Rome Rome Rome Rome", "Rome"]
    found = MassDestination().run(evidence({"forget": rows}, generations={"forget": said}))
    shares = {kind: found[f"forget/said_{kind}"].value for kind in SPOKEN}
    assert shares == pytest.approx({"true": 0, "refusal": 1 / 3, "noise": 1 / 3, "wrong": 1 / 3, "other": 0})
    assert {(found[f"forget/said_{kind}"].n, found[f"forget/said_{kind}"].per_example) for kind in SPOKEN} == {
        (3, None)
    }
    assert "no refusal" not in str(found["forget/true"].unscored)


def test_splits_without_candidates_are_left_out(scores: Callable[..., Any], evidence: Callable[..., Any]) -> None:
    """Fails if forget rows without perturbed answers or values are silent, or test rows without them are answered for."""
    bare = [Row(id="bare", fields={"prompt": "Capital?", "answer": "x"})]
    passed = scores({("bare", "answer"): [np.log(0.5)]})
    given = evidence({"forget": bare, "test": bare}, scores=dict.fromkeys(("forget", "test"), passed))
    found = MassDestination().run(given)
    assert {key.partition("/")[0] for key in found} == {"forget"}
    assert found["forget/true"].value == pytest.approx(0.5)
    assert found["forget/wrong"].unscored == "1 of 1 rows have no wrong answer among their scored answers"
    assert all(found[f"forget/said_{kind}"].value is None for kind in SPOKEN)


@pytest.mark.slow
def test_claim_where_the_answers_go_over_five_draws() -> None:
    """Five draws of people, shares of greedy answers to forget rows. The target says
    the true fact (1.00), retrained models a wrong one (.83 [.73, .94]), one taught to decline a refusal (1.00). Ascent at 1e-3 leaves noise (.48
    [.10, .86]) and wrong facts (.27): at that rate it does not wreck every model, and NPO leaves wrong ones (.63 [.27, .99]) as retraining does.

    Fails if kinds change places, or a model's rows are another's.
    """

    def kind(name: str) -> list[dict[str, float]]:
        return five_of(MassDestination(), f"forget/said_{name}")

    assert over(kind("true"), "target").low > 0.95
    assert over(kind("wrong"), "retrained").low > 0.6
    assert over(kind("refusal"), "refusing").low > 0.95
    assert over(kind("noise"), "ascent", less="retrained").low > 0
    assert over(kind("wrong"), "npo").low > 0.2
