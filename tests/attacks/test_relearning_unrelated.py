"""Teaching something else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from classifiers import SEEDS, a_class, ascended, hidden, over, retrained_under

from expunge.attacks.relearning_unrelated import RelearningUnrelated
from expunge.contract.evidence import Evidence
from expunge.contract.splits import Splits
from expunge.contract.weights import weights_digest
from expunge.facts.rows import Row, Rows


def test_no_row_of_the_asked_group_or_fact_is_taught(verified: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a retain row of a forget author is taught, forget rows are, the first budget counts alone, or 0 steps do."""
    forget, retain = (verified.problem.splits.rows[split] for split in ("forget", "retain"))
    kin = Row(id="kin", fields={"prompt": "a", "answer": "b"}, group=forget[0].group)
    told, now = [], [0]

    def fake_teach(model: Any, rows: Rows, *, steps: int, after: Any, **_: Any) -> None:
        told.append(set(rows.ids))
        for now[0] in range(1, steps + 1):
            after(now[0])
        now[0] = 0

    monkeypatch.setattr("expunge.engine.relearn.teach", fake_teach)
    monkeypatch.setattr(
        "expunge.engine.relearn.successes",
        lambda probe, model, rows, threshold: np.array([float(now[0] == 4 and i < 20) for i in range(len(rows))]),
    )
    probe = replace(
        verified.probe(verified.models["target"]),
        splits=Splits({"forget": forget, "retain": Rows((kin, *retain), "retain")}),
    )
    given = Evidence(name="m", role="unlearned", modality="text", rows={"forget": forget, "holdout": forget[:2]})
    found = RelearningUnrelated(budgets=(2, 4)).run(given, probe)
    assert told[0] == set(retain.ids)
    assert found.forget == (0.5,) * 20 + (0.0,) * (len(forget) - 20)
    assert found.curve == ((0.0, 0.0), (2.0, 0.0), (4.0, 20 / len(forget)))
    assert found.item_control == (0.5, 0.5)
    assert found.budget == "up to 4 steps"


def test_a_refusal_wears_off_and_absent_knowledge_does_not_come(verified: Any, hidden: Any) -> None:
    """Fails if the copy is not trained, or the attacked model is.

    Measured after 40 steps on retain rows: hidden 0 -> .48 (mean of the budgets .22); retrained .08 -> .06; the target stays at 1.
    """
    forget = {"forget": verified.problem.splits.rows["forget"]}
    given = Evidence(name="hidden", role="unlearned", modality="text", rows=forget)
    before = weights_digest(hidden.module)
    found = RelearningUnrelated().run(given, verified.probe(hidden))
    assert weights_digest(hidden.module) == before
    assert found.curve[0][1] < 0.1
    assert found.curve[-1][1] > 0.3
    assert found.curve[-1][1] > found.curve[1][1]
    control = verified.attack(RelearningUnrelated(budgets=(20, 40), item_control=False), "retrained-0")
    assert np.mean(found.forget) > np.mean(control.forget) + 0.1
    assert max(success for _, success in control.curve) < 0.15
    target = verified.attack(RelearningUnrelated(budgets=(5,), item_control=False), "target")
    assert np.mean(target.forget) > 0.9
    few = replace(given, rows={"forget": forget["forget"][:6]})
    unit = RelearningUnrelated(budgets=(3,))
    assert unit.run(few, verified.probe(hidden)) == unit.run(few, verified.probe(hidden))


def test_nothing_unrelated_and_bad_settings(verified: Any) -> None:
    """Fails if related rows are taught where there are no others, or budgets may fall."""
    forget = verified.problem.splits.rows["forget"]
    kin = Rows(tuple(Row(id=f"k{i}", fields={"answer": "b"}, group=forget[0].group) for i in range(3)), "retain")
    probe = replace(verified.probe(verified.models["target"]), splits=Splits({"forget": forget, "retain": kin}))
    given = Evidence(name="m", role="unlearned", modality="text", rows={"forget": forget})
    reason = RelearningUnrelated().run(given, probe).unscored
    assert reason == "none of 3 retain rows is of another group and fact than the rows to ask"
    with pytest.raises(ValueError, match="rising numbers"):
        RelearningUnrelated(budgets=(5, 5))
    with pytest.raises(ValueError, match="lr must be positive"):
        RelearningUnrelated(lr=0.0)


@pytest.mark.slow
def test_claim_other_classes_bring_back_no_class() -> None:
    """The claim does not hold for a classifier. Five draws of digits and models, the threes, the last budget of steps on the other classes:
    none of them comes back, neither after ascent, nor where the head alone was taught other labels, nor in ten retrained models: steps on
    other classes teach that these rows are of another class. The targets themselves keep .82 to .90. A language model's refusal wears off
    (above).

    Fails if forget rows are taught, or nothing is.
    """
    unit, draws = RelearningUnrelated(item_control=False), []
    for seed in SEEDS:
        at = a_class(seed)
        shares = [at.attack(unit, model).curve[-1][1] for model in (ascended(seed), hidden(seed))]
        target = at.attack(unit, at.problem.target, "target").curve
        assert target[0][1] == 1.0
        assert 0.5 < target[-1][1] < 0.95
        draws.append({"ascended": shares[0], "hidden": shares[1], "retrained": retrained_under(unit, at)})
    assert all(over(draws, name).high < 0.05 for name in draws[0])
