"""Direct questions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from classifiers import SEEDS, a_class, noise_scored, over

from expunge.attacks.direct_question import DirectQuestion
from expunge.contract.evidence import Evidence
from expunge.contract.job import Job
from expunge.contract.units import Probe
from expunge.facts.rows import Row, Rows
from expunge.modalities.array_tasks import Classification
from expunge.modalities.tabular import Features, tabular_model
from expunge.pipeline.measure import Measurer

NO_PROBE: Any = None
ROWS = {
    "forget": Rows(
        (
            Row(id="a", fields={"answer": "Her city is Rome.", "value": "Rome"}),
            Row(id="b", fields={"answer": "one two three four five"}),
        )
    ),
    "holdout": Rows((Row(id="c", fields={"answer": "Her city is Oslo.", "value": "Oslo"}),)),
}


@pytest.fixture
def asked() -> Evidence:
    said = {"forget": ["Her city is Oslo.", "one two three four six"], "holdout": ["OSLO!"]}
    return Evidence(name="unlearned", role="unlearned", modality="text", rows=ROWS, generations=said)


def test_value_or_threshold(asked: Evidence) -> None:
    """Fails if ROUGE decides where there is a value (3 of 4 words are right here), or holdout rows are not asked."""
    found = DirectQuestion().run(asked, NO_PROBE)
    assert (found.forget, found.item_control, found.kind) == ((0.0, 1.0), (1.0,), "success")
    assert DirectQuestion(threshold=0.81).run(asked, NO_PROBE).forget == (0.0, 0.0)
    assert DirectQuestion.about.step == "behavioural"


def test_guarded_generations_count(asked: Evidence) -> None:
    """Fails if the model inside is asked past its guard: what the guard says is what comes out."""
    guarded = replace(asked, role="guarded", generations={"forget": ["no"] * 2, "holdout": ["no"]})
    assert DirectQuestion().run(guarded, NO_PROBE).forget == (0.0, 0.0)


def test_anchors(verified: Any) -> None:
    """Fails if do-nothing does not answer, or a retrained or untrained model does (measured 1.0; .075 and .037; .013)."""
    share = {name: np.mean(verified.attack(DirectQuestion(), name).forget) for name in verified.models}
    assert share["target"] >= 0.95
    assert max(share["retrained-0"], share["retrained-1"]) <= 0.2
    assert share["untrained"] <= 0.05
    assert np.mean(verified.attack(DirectQuestion(), "target").item_control) <= 0.2


@pytest.fixture
def classifier() -> tuple[Any, Rows, list[float]]:
    model = tabular_model("mlp", features=Features(width=2), task=Classification(classes=3), seed=0)
    draw = np.random.default_rng(0)
    rows = Rows(
        tuple(Row(id=str(i), fields={"features": 3 * draw.normal(size=2), "label": i % 3}) for i in range(12)), "forget"
    )
    choices = model.logits(model.pack(rows)).argmax(-1).tolist()
    return model, rows, [float(choice == row["label"]) for choice, row in zip(choices, rows, strict=True)]


def test_a_classifier_is_asked_for_its_first_choice(classifier: Any) -> None:
    """Fails if the probability of the label, or another model's pass, stands for the predicted label."""
    model, rows, expected = classifier
    assert 0 < sum(expected) < 12
    measurer = Measurer(Job())
    probe = Probe(
        model=model.copy,
        splits=Any,
        generator=Any,
        score=measurer.score,
        generate=Any,
        job=Job(),  # type: ignore[arg-type]
    )
    bare = Evidence(name="m", role="unlearned", modality="tabular", rows={"forget": rows})
    assert DirectQuestion().run(bare, probe).forget == tuple(expected)
    scored = replace(bare, scores={"forget": measurer.score(model, rows)})
    assert DirectQuestion().run(scored, NO_PROBE).forget == tuple(expected)
    guarded = DirectQuestion().run(replace(bare, role="guarded"), NO_PROBE)
    assert guarded.unscored == "what the guard answers for this model is not known"


def test_nothing_to_ask_is_unscored(evidence: Callable[..., Any]) -> None:
    """Fails if an empty forget set succeeds or fails at anything."""
    empty = Evidence(name="m", role="unlearned", modality="text", rows={})
    assert DirectQuestion().run(empty, NO_PROBE).unscored == "there are no forget rows"


@pytest.mark.slow
def test_claim_the_target_answers_and_a_retrained_model_seldom_where_a_class_goes() -> None:
    """Five draws of digits and models: of a class the target has all right, ten retrained models none. Of a tenth of the rows, a fifth of
    them with a wrong label, .88 [.85, .91] and .75 [.70, .79]: there a model that never saw a row answers it too, and only the control tells.

    Fails if what the target is trained on is not what it answers, or a retrained model has seen the class.
    """
    draws = []
    for seed in SEEDS:
        found = {}
        for name, at in (("class", a_class(seed)), ("rows", noise_scored(seed))):
            share = {one: np.mean(at.attack(DirectQuestion(), model, one).forget) for one, model in at.models.items()}
            found[f"target, {name}"] = float(share["target"])
            found[f"retrained, {name}"] = float(np.mean([share[one] for one in share if one.startswith("retrained-")]))
        draws.append(found)
    assert over(draws, "target, class").low > 0.95
    assert over(draws, "retrained, class").high < 0.05
    assert over(draws, "target, rows").low > 0.8
    assert over(draws, "retrained, rows").low > 0.6
    assert over(draws, "target, rows", less="retrained, rows").low > 0.05
