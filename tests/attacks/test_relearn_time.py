"""Teaching it again and counting the steps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from classifiers import a_class, hidden

from expunge.attacks.relearn_time import RelearnTime
from expunge.contract.weights import weights_digest
from expunge.statistics.relearn_time import anamnesis_index, steps_back

UNIT = RelearnTime(item_control=False)


def test_share_of_the_checks_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if the check before the first step or the last one is left out, or the curve is not a share of the target's accuracy.

    Row i is known from step i on; the target knows half of the rows.
    """
    measured, asked = a_class(), []

    def fake_teach(model: Any, rows: Any, *, steps: int, after: Any, **_: Any) -> None:
        asked.append(len(rows))
        for step in range(1, steps + 1):
            after(step)

    calls = iter([-1, 0, 1, 2])

    def fake_successes(probe: Any, model: Any, rows: Any, threshold: float) -> np.ndarray:
        step, places = next(calls), np.arange(len(rows))
        return (places % 2 == 0).astype(float) if step < 0 else (places < step).astype(float)

    monkeypatch.setattr("expunge.attacks.relearn_time.teach", fake_teach)
    monkeypatch.setattr("expunge.attacks.relearn_time.successes", fake_successes)
    given = replace(measured.evidence["target"], rows={"forget": measured.evidence["target"].rows["forget"][:4]})
    found = RelearnTime(steps=2, item_control=False).run(given, measured.probe(measured.problem.target))
    assert found.forget == pytest.approx((2 / 3, 1 / 3, 0, 0))
    assert found.curve == ((0.0, 0.0), (1.0, 0.5), (2.0, 1.0))
    assert asked == [4 + 12]


def test_published_defect_the_model_is_not_taught() -> None:
    """Fails if the model itself relearns (ERASURE's RelearnTime left its deepcopy out): every metric after it would be of another model."""
    measured, model = a_class(), hidden()
    before, logits = weights_digest(model.module), model.logits(model.pack(measured.problem.splits.rows["test"]))
    UNIT.run(measured.of(model), measured.probe(model))
    assert weights_digest(model.module) == before
    assert bool((model.logits(model.pack(measured.problem.splits.rows["test"])) == logits).all())
    assert all(parameter.requires_grad for parameter in model.module.parameters())


def test_claim_hidden_is_back_sooner_than_retrained() -> None:
    """Fails if the copy does not learn, or hidden knowledge takes as long as new: and says that a wrecked model is back soon too.

    Measured steps back within 5%: untouched 0, hidden 16, retrained 24 to 26, random weights 12; index .64 hidden, .48 random weights.
    """
    measured = a_class()
    curves = {name: measured.attack(UNIT, model, name).curve for name, model in measured.models.items()}
    own = measured.attack(UNIT, hidden())
    retrained = [curves[f"retrained-{i}"] for i in range(3)]
    assert steps_back(curves["target"], 0.05) == 0.0
    assert (anamnesis_index(curves["target"], retrained).value, own.curve[0][1]) == pytest.approx((0.0, 0.0), abs=0.05)
    index = anamnesis_index(own.curve, retrained).value
    assert index is not None
    assert 0.3 < index < 0.9
    floor = anamnesis_index(retrained[0], retrained[1:]).value
    assert floor == pytest.approx(1.0, abs=0.2)
    control = measured.attack(UNIT, measured.models["retrained-0"], "retrained-0")
    assert np.mean(own.forget) > np.mean(control.forget) + 0.08
    wrecked = anamnesis_index(curves["untrained"], retrained).value
    assert wrecked is not None
    assert wrecked < 0.9


def test_same_seed_same_outcome_and_what_cannot_be() -> None:
    """Fails if the order of steps hangs on global chance, or a missing target or a falling setting passes."""
    measured, unit = a_class(), RelearnTime(steps=3, item_control=False)
    model = measured.models["retrained-0"]
    assert measured.attack(unit, model, "retrained-0") == measured.attack(unit, model, "retrained-0")
    bare = replace(measured.probe(model), target=None)
    assert "no target" in (unit.run(measured.evidence["retrained-0"], bare).unscored or "")
    with pytest.raises(ValueError, match="must be positive"):
        RelearnTime(steps=0)
