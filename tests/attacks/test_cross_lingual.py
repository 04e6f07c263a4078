"""Questions in another language."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from classifiers import over
from text_models import SEEDS, draw

from expunge.attacks.cross_lingual import CrossLingual
from expunge.contract.apply import unlearn
from expunge.contract.evidence import Evidence
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.descend import Descent
from expunge.engine.teach import teach
from expunge.facts.rows import Row, Rows
from expunge.methods.grad_diff import GradDiff


def rows(**fields: Any) -> Rows:
    return Rows((Row(id="a", fields={"prompt": "Who?", "answer": "It is Ana.", **fields}),))


def run(forget: Rows, said: dict[str, str], **splits: Rows) -> Any:
    probe: Any = SimpleNamespace(
        model=lambda: None, generate=lambda _, asked: [said.get(row["prompt"], "") for row in asked]
    )
    given = Evidence(name="m", role="m", modality="text", rows={"forget": forget, **splits})
    return CrossLingual().run(given, probe)


def test_any_language_counts() -> None:
    """Fails if the row's own language is asked, languages come in chance order, or the last alone counts."""
    forget = rows(value="Ana", translated_prompts={"fr": "Qui ?", "de": "Wer?", "es": "Quien?"})
    found = run(forget, {"Who?": "Ana", "Quien?": "Es Ana."}, holdout=rows(value="Ana"))
    assert found.forget == (1.0,)
    assert found.curve == ((1.0, 0.0), (2.0, 1.0), (3.0, 1.0))
    assert found.item_control == ()
    assert run(forget, {"Who?": "Ana"}).forget == (0.0,)
    assert run(forget, {}, holdout=forget).item_control == (0.0,)


def test_rows_that_cannot_be_asked_are_unscored() -> None:
    """Fails if a battery passes because nothing was translated, or words of one language are looked for in another."""
    assert run(rows(value="Ana"), {}).unscored == "1 of 1 forget rows have no question in another language"
    without = run(rows(translated_prompts={"de": "Wer?"}), {})
    assert without.unscored == "1 of 1 forget rows have no value to look for in an answer of another language"


def test_anchors(verified: Any) -> None:
    """A stand-in for a language: other wordings of the same words. Fails if the target answers none, or a retrained model many.

    Measured: 1.0 against .075. A second language is below.
    """
    forget = verified.problem.splits.rows["forget"]
    spoken = Rows(
        tuple(row.replace(translated_prompts=dict(enumerate(row["paraphrased_prompts"][2:]))) for row in forget)
    )
    share = {}
    for name in ("target", "retrained-0"):
        given = Evidence(name=name, role="m", modality="text", rows={"forget": spoken})
        share[name] = np.mean(CrossLingual().run(given, verified.probe(verified.models[name])).forget)
    assert share["target"] > 0.8
    assert share["retrained-0"] < 0.2


ENGLISH = ("What", "Which", "is", "the", "of", "does", "have")
RATES = (5e-4, 1e-3, 2e-3, 4e-3)


def translated(row: Row) -> Row:
    """The row with its question in a made-up language too: English words are spelt otherwise, names and relations stay."""
    words = [(word[::-1] + "u").lower() if word in ENGLISH else word for word in str(row["prompt"]).split(" ")]
    return row.replace(translated_prompts={"made-up": " ".join(words)})


def in_both(seed: int) -> dict[str, Model]:
    """A draw's target that was taught all questions in the made-up language too, a retrained model taught those of retain rows, and what
    gradient difference on the trained language leaves of the former, at the lowest rate that leaves a tenth of the answers or less there."""
    at = draw(seed)
    forget, retain = (
        Rows(tuple(map(translated, at.problem.splits.rows[split])), split) for split in ("forget", "retain")
    )
    found = {"target": at.models["target"].copy(), "retrained": at.models["retrained-0"].copy()}
    for name, model in found.items():
        spoken = [row for row in (*forget, *retain) if name == "target" or row not in forget]
        taught = [
            Row(id=f"{row.id}#made-up", fields={**row.fields, "prompt": row["translated_prompts"]["made-up"]})
            for row in spoken
        ]
        teach(
            model, Rows((*taught, *spoken)), job=Job(seed=seed), steps=400, lr=2e-3, batch_size=32, after=lambda _: None
        )
        model.module.zero_grad(set_to_none=True)
    splits = Splits.of(**{**at.problem.splits.rows, "forget": forget})
    for rate in RATES:
        unit = GradDiff(descent=Descent(lr=rate))
        found["grad_diff"] = unlearn(unit, found["target"], splits, job=Job(seed=seed))[0]
        if at.answered(found["grad_diff"]).mean() <= 0.1:
            return found
    return pytest.fail("gradient difference leaves more than a tenth at every rate")


@pytest.mark.slow
def test_claim_what_was_removed_in_one_language_does_not_come_out_in_another() -> None:
    """The claim does not hold in a model of two layers. Five draws of people, and a made-up language with words of its own, taught beside the
    trained one: the target answers all in both. Gradient difference leaves .03 in the trained one, which alone it sees, and .04 [-.02, .10] in
    the other, where retrained models taught it have .05: one road to a fact is closed with the other.

    Fails if the trained language is asked, or the removal sees the other one.
    """
    draws = []
    for seed in SEEDS:
        at, rows = draw(seed), Rows(tuple(map(translated, draw(seed).forget)), "forget")
        found = {}
        for name, model in in_both(seed).items():
            found[name] = at.share_out(CrossLingual(item_control=False), model, rows)
            found[f"{name}, trained language"] = float(at.answered(model).mean())
        draws.append(found)
    assert over(draws, "target").low > 0.9
    assert over(draws, "grad_diff, trained language").high < 0.2
    assert over(draws, "retrained").high < 0.2
    assert over(draws, "grad_diff").high < 0.2
    assert over(draws, "grad_diff", less="retrained").low < 0.05
