"""ORT's success by form, by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import protocols
import pytest

from expunge.facts.rows import Row
from expunge.metrics.ort_success import OrtSuccess


def row(i: int, form: str, **fields: Any) -> Row:
    return Row(id=f"{i}", fields={"answer": "red.", "value": "red", "form": form, **fields}, group=f"p{i}")


def test_success_by_form(evidence: Callable[..., Any]) -> None:
    """Forget: 1, 0 asked as question, 1 as cloze -> 2/3 whole, 1/2 and 1 by form; choices 1 and -1/3 -> 1/3.

    Fails if forms are pooled, a choice is not corrected, or rows without a form count.
    """
    choice = {"chance": 1 / 4, "perturbed_answers": ("blue.", "grey.", "pink.")}
    given = {
        "forget": [row(0, "question"), row(1, "question"), row(2, "cloze")],
        "forget/choice": [row(0, "choice", **choice), row(1, "choice", **choice)],
        "test": [Row(id="t", fields={"answer": "red"})],
    }
    said = {"forget": ["It is red", "blue", "red"], "forget/choice": ["red", "grey"], "test": ["red"]}
    found = OrtSuccess().run(evidence(given, generations=said))
    assert {key: score.value for key, score in found.items()} == pytest.approx(
        {"forget": 2 / 3, "forget/question": 1 / 2, "forget/cloze": 1.0, "forget/choice": 1 / 3}
    )
    assert found["forget"].per_example == (1.0, 0.0, 1.0)
    assert found["forget/choice"].name == "success, 0 by chance"
    assert {score.ideal for score in found.values()} == {"as_control"}


def test_rows_without_forms_are_unscored(evidence: Callable[..., Any]) -> None:
    """Fails if a forget set that no form asks for gives 0, or nothing at all."""
    found = OrtSuccess().run(evidence({"forget": [Row(id="t", fields={"answer": "red"})]}))
    assert found["forget"].unscored == "no forget row has a form"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_claim_success_falls_in_the_trained_form_and_in_the_others() -> None:
    """Three draws of people. Half of the claim holds in such a model: success falls by .91 [.71, 1.11] after ascent and .96 after NPO in the trained
    form, and retrained models have .04. It does not stay in others: NPO leaves .03 of paraphrases (.86 in the target), .03 of past tense (.99),
    .06 of cloze (.78) and .01 of choices (.69).

    Fails if forms are pooled, or a guess counts as success.
    """
    found = protocols.ort()
    for method in ("ascent", "npo"):
        assert found.over(method, "ort_success:forget", less="target").high < -0.4
    for form in ("", "/paraphrase", "/tense", "/cloze", "/choice"):
        assert found.over("target", f"ort_success:forget{form}").estimate > 0.5
        assert found.over("npo", f"ort_success:forget{form}").estimate < 0.15
        assert found.over("retrained", f"ort_success:forget{form}").estimate < 0.3
