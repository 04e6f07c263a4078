"""Teaching part of it again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from classifiers import SEEDS, a_class, ascended, over, retrained_under

from expunge.attacks.relearning import Relearning
from expunge.contract.evidence import Evidence
from expunge.contract.weights import weights_digest
from expunge.facts.rows import Rows


def test_every_row_is_asked_untaught(verified: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a row is asked of a copy that was taught it, a half is left out, or only the last budget counts."""
    taught: list[set[str]] = []
    now: dict[str, Any] = {"taught": set(), "steps": 0}

    def fake_teach(model: Any, rows: Rows, *, steps: int, after: Any, **_: Any) -> None:
        taught.append(set(rows.ids))
        for step in range(1, steps + 1):
            now.update(taught=set(rows.ids), steps=step)
            after(step)
        now.update(taught=set(), steps=0)

    def fake_successes(probe: Any, model: Any, rows: Rows, threshold: float) -> np.ndarray:
        """Even rows come out after 2 steps and no longer after 4; odd rows never."""
        assert not now["taught"] & set(rows.ids)
        return np.array([float(now["steps"] == 2 and i % 2 == 0) for i in range(len(rows))])

    monkeypatch.setattr("expunge.engine.relearn.teach", fake_teach)
    monkeypatch.setattr("expunge.engine.relearn.successes", fake_successes)
    found = verified.attack(Relearning(budgets=(1, 2, 4), item_control=False), "target")
    assert taught[0] | taught[1] == set(verified.problem.splits.rows["forget"].ids)
    assert not taught[0] & taught[1]
    assert found.curve == ((0.0, 0.0), (1.0, 0.0), (2.0, 0.5), (4.0, 0.0))
    half = len(verified.problem.splits.rows["forget"]) // 2
    assert sorted(found.forget) == pytest.approx([0.0] * half + [1 / 3] * half)
    assert found.budget == "up to 4 steps"


def test_hidden_knowledge_comes_back_and_absent_knowledge_does_not(verified: Any, hidden: Any) -> None:
    """Fails if the copy is not trained, trained on what it is asked, or the attacked model is changed (a peer's relearn metric does).

    Measured: hidden .05 direct, .60 relearned (mean of the budgets); retrained 0 direct, .01 relearned.
    """
    forget = {"forget": verified.problem.splits.rows["forget"]}
    given = Evidence(name="hidden", role="unlearned", modality="text", rows=forget)
    before, gradients = weights_digest(hidden.module), [p.requires_grad for p in hidden.module.parameters()]
    found = Relearning().run(given, verified.probe(hidden))
    assert weights_digest(hidden.module) == before
    assert [p.requires_grad for p in hidden.module.parameters()] == gradients
    assert all(p.grad is None for p in hidden.module.parameters())
    direct = found.curve[0][1]
    assert direct < 0.3
    assert np.mean(found.forget) > direct + 0.4
    control = verified.attack(Relearning(item_control=False), "retrained-0")
    assert np.mean(control.forget) < 0.2


def test_same_seed_same_outcome_and_items_without_a_control(verified: Any) -> None:
    """Fails if the order of steps hangs on global chance, or holdout rows are attacked unasked or not at all."""
    rows = {split: verified.problem.splits.rows[split][:6] for split in ("forget", "holdout")}
    given = Evidence(name="m", role="unlearned", modality="text", rows=rows)
    unit = Relearning(budgets=(1, 2), batch_size=2)
    outcomes = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        outcomes.append(unit.run(given, verified.probe(verified.models["target"])))
    assert outcomes[0] == outcomes[1]
    assert len(outcomes[0].item_control) == 6
    alone = Relearning(budgets=(1, 2), batch_size=2, item_control=False)
    assert alone.run(given, verified.probe(verified.models["target"])).item_control == ()


def test_what_cannot_be_halved_and_bad_settings(verified: Any) -> None:
    """Fails if one row is taught and asked at once, or budgets may fall."""
    one = {"forget": verified.problem.splits.rows["forget"][:1]}
    given = Evidence(name="m", role="unlearned", modality="text", rows=one)
    reason = Relearning().run(given, verified.probe(verified.models["target"])).unscored
    assert reason == "1 forget rows of one fact cannot be cut into halves"
    with pytest.raises(ValueError, match="rising numbers"):
        Relearning(budgets=(5, 5))
    with pytest.raises(ValueError, match="lr must be positive"):
        Relearning(lr=0.0)


@pytest.mark.slow
def test_claim_after_ascent_the_rest_of_a_class_comes_back() -> None:
    """Five draws of digits and models, the threes, 20 steps on half of them: after ascent 0 of the others right before and all of them
    after; of ten retrained models 0 before and after. The claim's control hangs on what is forgotten: a model that never saw the class
    needs more than 20 steps here, and has .3 of MNIST's after them (docs/results/mnist.md).

    Fails if the copy is taught what it is asked, or not at all.
    """
    unit, draws = Relearning(item_control=False), []
    for seed in SEEDS:
        curve = a_class(seed).attack(unit, ascended(seed)).curve
        again = retrained_under(unit, a_class(seed))
        draws.append({"before": curve[0][1], "after": curve[-1][1], "retrained": again})
    assert over(draws, "before").high < 0.05
    assert over(draws, "after", less="retrained").low > 0.5
