"""Membership by how alike the drawn answers are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from classifiers import over
from text_models import SEEDS, draw, models_of, worded

from expunge.attacks.cdd import Cdd
from expunge.attacks.loss import Loss
from expunge.contract.evidence import Evidence
from expunge.statistics.auc import auc


def test_share_of_draws_next_to_the_greedy_one(verified: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if draws are compared with the row's answer, rows and draws change places, or settings do not reach the sampler."""
    told: list[Any] = []

    def fake_sample(module: Any, prompts: Any, eos: int, most: int, **given: Any) -> list[list[list[int]]]:
        told.append((most, given["draws"], given["temperature"]))
        return [[[1, 2, 3]] * (i % 3) + [[7, 7, 7]] * (2 - i % 3) for i in range(len(prompts))]

    monkeypatch.setattr("expunge.attacks.cdd.sample", fake_sample)
    monkeypatch.setattr("expunge.attacks.cdd.generate", lambda module, prompts, eos, most: [[1, 2, 3] for _ in prompts])
    found = verified.attack(Cdd(draws=2, temperature=0.5, max_new_tokens=7), "target")
    assert found.forget[:6] == (0.0, 0.5, 1.0, 0.0, 0.5, 1.0)
    assert found.kind == "member"
    assert set(told) == {(7, 2, 0.5)}


def test_what_was_learned_is_said_alike(verified: Any, hidden: Any) -> None:
    """Fails if the share of unlike draws is taken, or draws hang on global chance.

    Measured AUC with 20 draws: target 1.00, retrained .53 and .34, untrained .50; a model taught to refuse .87: the refusal is
    peaked too, so the score shows that the rows were trained on, not that they are known. Here with 6 draws.
    """
    unit = Cdd(draws=6, max_new_tokens=24)
    target, control = verified.attack(unit, "target"), verified.attack(unit, "retrained-0")
    assert auc(target.forget, target.holdout) > 0.95
    assert np.mean(target.forget) > np.mean(target.holdout) + 0.5
    assert auc(control.forget, control.holdout) < 0.7
    assert verified.attack(unit, "target") == target
    assert verified.attack(unit, "retrained-0", seed=1).forget != control.forget


def test_bad_settings() -> None:
    """Fails if no draw is enough."""
    with pytest.raises(ValueError, match="must be positive"):
        Cdd(draws=0)
    with pytest.raises(ValueError, match="must be positive"):
        Cdd(alpha=-0.1)


def area(unit: Any, seed: int, name: str, wording: int = -1) -> float:
    """AUC of an attack on a draw's model, forget against holdout rows, asked as trained or in another wording."""
    at, model = draw(seed), models_of(seed)[name]
    rows = {split: at.problem.splits.rows[split] for split in ("forget", "holdout")}
    if wording >= 0:
        rows = {split: worded(one, wording) for split, one in rows.items()}
    scores = {split: at.measurer.score(model, one) for split, one in rows.items()}
    found = at.attack_on(unit, model, Evidence(name="m", role="m", modality="text", rows=rows, scores=scores))
    return auc(found.forget, found.holdout)


@pytest.mark.slow
def test_claim_it_tells_what_was_trained_on_in_the_same_and_in_other_words_and_no_better_than_the_loss() -> None:
    """Five draws of people, ten answers a row. AUC of
    the target .93 [.83, 1.03] as trained and .82 [.64, 1.00] in another wording, of retrained models .51 and .48. It tells them; the loss does
    better, 1.00 in both: that part of the claim does not hold. After gradient difference .58 and .63 are left.

    Fails if draws hang on what every model says, or the model is not asked in the other words.
    """
    unit = Cdd(draws=10, max_new_tokens=24)
    names = {"target": "target", "retrained": "retrained-0", "grad_diff": "grad_diff"}
    draws = [
        {
            **{name: area(unit, seed, own) for name, own in names.items()},
            **{f"{name}, other words": area(unit, seed, own, 1) for name, own in names.items()},
            "loss": area(Loss(), seed, "target"),
            "loss, other words": area(Loss(), seed, "target", 1),
        }
        for seed in SEEDS
    ]
    for words in ("", ", other words"):
        assert over(draws, f"target{words}").low > 0.6
        assert over(draws, f"target{words}", less=f"retrained{words}").low > 0
        assert 0.3 < over(draws, f"retrained{words}").low < over(draws, f"retrained{words}").high < 0.7
        assert over(draws, f"target{words}", less=f"loss{words}").low < 0
        over(draws, f"grad_diff{words}")
