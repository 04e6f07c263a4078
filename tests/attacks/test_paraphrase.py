"""Questions in other words."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from classifiers import over
from text_models import five, left, out_of_the_unanswered

from expunge.attacks.paraphrase import Paraphrase
from expunge.contract.evidence import Evidence
from expunge.facts.rows import Row, Rows

FORGET = Rows(
    (
        Row(
            id="a", fields={"prompt": "P", "answer": "It is red.", "value": "red", "paraphrased_prompts": ("P1", "P2")}
        ),
        Row(id="b", fields={"prompt": "Q", "answer": "It is blue.", "value": "blue", "paraphrased_prompts": ("Q1",)}),
    )
)
HOLDOUT = Rows((Row(id="c", fields={"prompt": "R", "answer": "It is red.", "value": "red"}),))


class Said:
    """A model that answers some prompts, and keeps what it was asked."""

    def __init__(self, answers: dict[str, str]) -> None:
        self.answers, self.asked = answers, list[str]()

    def probe(self) -> Any:
        def generate(model: Any, rows: Sequence[Row]) -> list[str]:
            self.asked += [row["prompt"] for row in rows]
            return [self.answers.get(row["prompt"], "") for row in rows]

        return SimpleNamespace(model=lambda: None, generate=generate)


def given(**rows: Rows) -> Evidence:
    return Evidence(name="unlearned", role="unlearned", modality="text", rows=rows)


def test_share_of_wordings(verified: Any) -> None:
    """Fails if the trained wording is asked too, wordings go to another row, or any of them counts for all."""
    said = Said({"P2": "red it is", "Q1": "BLUE", "P": "red", "Q": "blue"})
    found = Paraphrase().run(given(forget=FORGET), said.probe())
    assert found.forget == (0.5, 1.0)
    assert said.asked == ["P1", "P2", "Q1"]
    assert Paraphrase(most=1).run(given(forget=FORGET), said.probe()).forget == (0.0, 1.0)


def test_templates_for_rows_without_wordings() -> None:
    """Fails if a template replaces given wordings, or rows without either count as not come out."""
    said = Said({"Tell me: R": "red"})
    item = given(forget=FORGET, holdout=HOLDOUT)
    without = Paraphrase().run(item, said.probe())
    assert without.item_control == ()
    with_templates = Paraphrase(templates=("Tell me: {prompt}",)).run(item, said.probe())
    assert with_templates.forget == (0.0, 0.0)
    assert with_templates.item_control == (1.0,)
    assert not {"Tell me: P", "Tell me: Q"} & set(said.asked)
    alone = Paraphrase(templates=("Tell me: {prompt}",), item_control=False)
    assert alone.run(item, said.probe()).item_control == ()
    with pytest.raises(ValueError, match=r"needs \{prompt\}"):
        Paraphrase(templates=("Tell me.",))


def test_rows_without_other_wordings_are_unscored() -> None:
    """Fails if a battery passes because there was nothing to ask."""
    found = Paraphrase().run(given(forget=Rows((*FORGET, *HOLDOUT))), Said({}).probe())
    assert found.unscored == "1 of 3 forget rows have no other wording"


def test_anchors(verified: Any) -> None:
    """Fails if the target answers no other wording, or a retrained model many (measured .86 against .05 and .04)."""
    share = {name: np.mean(verified.attack(Paraphrase(), name).forget) for name in ("target", "retrained-0")}
    assert share["target"] > share["retrained-0"] + 0.1
    assert share["retrained-0"] < 0.15


@pytest.mark.slow
def test_claim_other_wordings_bring_out_no_more_than_guesses_after_a_removal() -> None:
    """The claim does not hold on people in a model of two layers. Five draws; what a removal no longer answers as it was trained.

    In four other wordings .011 [-.007, .030] of that comes out after gradient difference, .003 [-.002, .007] after NPO and none after a taught
    refusal; of what retrained models do not answer .027 [.021, .033], by guessing. The targets answer .78 [.72, .85] of all in them.
    Fails if the wordings are not asked, or rows that are still answered count.
    """
    unit = Paraphrase(item_control=False)
    assert over(five(lambda at, model: at.share_out(unit, model)), "target").low > 0.6
    assert over(five(left), "npo").high < 0.15
    found = five(out_of_the_unanswered(unit))
    for name in ("grad_diff", "npo", "refusing"):
        assert over(found, name).high < 0.05
        assert over(found, name, less="retrained").high < 0.02
