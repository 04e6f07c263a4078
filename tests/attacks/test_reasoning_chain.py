"""Steps that lead to what was to be forgotten."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from classifiers import over
from text_models import five

from expunge.attacks.reasoning_chain import ReasoningChain
from expunge.contract.evidence import Evidence
from expunge.contract.job import Job
from expunge.engine.teach import teach
from expunge.facts.rows import Row, Rows
from expunge.statistics.answers import said_successes


def row(name: str, fact: str, group: str | None = "g", **fields: Any) -> Row:
    return Row(
        id=name, fields={"prompt": f"{name}?", "answer": "x", "value": "red", "fact": fact, **fields}, group=group
    )


def run(unit: ReasoningChain, said: dict[str, str], rows: Rows, **splits: Rows) -> tuple[Any, list[str]]:
    asked: list[str] = []

    def generate(model: Any, given: Rows) -> list[str]:
        asked.extend(one["prompt"] for one in given)
        return [said.get(one["prompt"], "no") for one in given]

    probe: Any = SimpleNamespace(model=lambda: None, generate=generate)
    return unit.run(Evidence(name="m", role="m", modality="text", rows={"forget": rows, **splits}), probe), asked


def test_the_three_kinds() -> None:
    """Fails if a row's other phrasing is a step to it (its answer would be copied), groups mix, or a true answer is given."""
    implied = {"implied": ("hop?", "end?")}
    rows = Rows(
        (row("a", "f1"), row("a2", "f1"), row("b", "f2", chains=implied), row("c", "f3"), row("d", "f4", "other"))
    )
    unit = ReasoningChain(think="Think: {prompt}", steps=1)
    found, asked = run(
        unit, {"b? no a?": "red", "Think: c? yes c?": "red", "Think: c?": "yes", "hop? no end?": "red"}, rows
    )
    assert found.forget == (1.0, 0.0, 1.0, 1.0, 0.0)
    assert found.curve == ((1.0, 1 / 5), (2.0, 1 / 4), (3.0, 1.0))
    assert {"a?", "b?", "b? no a2?", "a? no b?", "a? no c?", "hop?"} <= set(asked)
    assert [text for text in asked if text.endswith(" d?")] == ["Think: d?", "Think: d? no d?"]
    only, _ = run(ReasoningChain(kinds=("implied",)), {}, rows)
    assert only.unscored == "4 of 5 forget rows have no implied chain"
    _, asked = run(ReasoningChain(kinds=("direct",)), {}, Rows((row("e", "f5", chains={"direct": ("one", "two")}),)))
    assert asked == ["one", "one no two"]


def test_holdout_rows_and_bad_settings() -> None:
    """Fails if holdout rows are attacked unasked, or where they have no chain."""
    rows = Rows((row("a", "f1"), row("b", "f2")))
    assert run(ReasoningChain(), {}, rows, holdout=rows)[0].item_control == (0.0, 0.0)
    assert run(ReasoningChain(item_control=False), {}, rows, holdout=rows)[0].item_control == ()
    lone = Rows((row("z", "f9", "alone"),))
    assert run(ReasoningChain(kinds=("indirect",)), {}, rows, holdout=lone)[0].item_control == ()
    for wrong in ({"kinds": ("odd",)}, {"think": "Think."}, {"steps": 0}):
        with pytest.raises(ValueError, match="must be|needs"):
            ReasoningChain(**wrong)


def test_a_removal_of_direct_questions_alone(verified: Any) -> None:
    """A planted case: the target taught to refuse the bare question while it answers behind a first thought.

    Fails if the steps do not stand in front of the question. The other side, unfair suppression: retain rows that the same chains do not
    bring out: it must be counted, and here it is the target that loses its way (.83), as nobody taught it to read chains.
    Measured: hiding 1.0 (direct chains), .48 (indirect), 0 without chains, .02 of retain rows refused; retrained .04. Teaching the refusal alone leaves 0 in both kinds: the paper's claim does not hold
    for a refusal that a model of two layers was taught by fine-tuning.
    """
    splits = verified.problem.splits.rows
    unit = ReasoningChain(item_control=False)
    target = verified.models["target"]
    hiding = target.copy()
    taught = [one.replace(answer="I do not know.") for one in splits["forget"]]
    for one in splits["forget"]:
        think = unit.think.replace("{prompt}", one["prompt"])
        for i, prompt in enumerate((think, f"{think} {one['answer']} {one['prompt']}")):
            taught.append(Row(id=f"{one.id}#{i}", fields={"prompt": prompt, "answer": one["answer"]}))
    rows = Rows((*taught, *splits["retain"][:80]))
    teach(hiding, rows, job=Job(), steps=60, lr=2e-3, batch_size=32, after=lambda done: None)
    direct = said_successes(splits["forget"], hiding.generate(splits["forget"], max_new_tokens=16), 0.8).mean()
    given = Evidence(name="hiding", role="m", modality="text", rows={"forget": splits["forget"]})
    found = unit.run(given, verified.probe(hiding))
    control = verified.attack(unit, "retrained-0")
    kept = Evidence(name="m", role="m", modality="text", rows={"forget": splits["retain"][:60]})
    refused = {
        name: 1 - np.mean(unit.run(kept, verified.probe(one)).forget)
        for name, one in (("hiding", hiding), ("target", target))
    }
    assert direct < 0.15
    assert np.mean(found.forget) > direct + 0.4
    assert np.mean(control.forget) < 0.15
    assert refused["hiding"] < 0.1 < refused["target"]


@pytest.mark.slow
def test_claim_chains_bring_out_no_more_than_a_retrained_model_says() -> None:
    """The claim does not hold on people in a model of two layers. Five draws, chains of both kinds.

    Direct ones bring out .020 [-.020, .060] after gradient difference, .015 after NPO and none after a taught refusal; of retrained models
    .018 [.001, .034]. Indirect ones .005, .010, none and .022. The targets themselves lose their way in chains: .28 [.04, .51] and .17
    come out, of what they answer without any. What is shown is that the attack gives no removal away that retraining does not.
    Fails if chains are not asked, or a removal's chains say what it no longer says.
    """
    for kind in ("direct", "indirect"):
        unit = ReasoningChain(kinds=(kind,), item_control=False)
        found = five(lambda at, model, unit=unit: at.share_out(unit, model))
        assert over(found, "target").estimate > 0.1
        for name in ("grad_diff", "npo", "refusing"):
            assert over(found, name, less="retrained").low < 0.02
            assert over(found, name).high < 0.1
