"""Teaching it again and counting the steps."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from classifiers import SEEDS, Measured, a_class, hidden, mean_interval

from expunge.attacks.relearn_time import RelearnTime
from expunge.contract.model import Model
from expunge.contract.weights import weights_digest
from expunge.statistics.relearn_time import Curve, anamnesis_index, steps_back

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


def index_of(curve: Curve, others: list[Curve]) -> float:
    found = anamnesis_index(curve, others)
    assert found.value is not None, found.unscored
    return found.value


def relearnt(at: Measured, hiding: Model) -> dict[str, float]:
    """Indices of the target, of a model that hides the class, of random weights and of the soonest of ten retrained models.

    Each retrained model is read beside the other nine. And how much more of the checks the hiding model passes than retrained ones do.
    """
    found = {name: at.attack(UNIT, model, name) for name, model in at.models.items()}
    retrained = [found[f"retrained-{i}"] for i in range(10)]
    curves, own = [one.curve for one in retrained], at.attack(UNIT, hiding)
    print([steps_back(curve, 0.05) for curve in (found["target"].curve, own.curve, found["untrained"].curve, *curves)])
    assert steps_back(found["target"].curve, 0.05) == 0.0
    assert own.curve[0][1] == pytest.approx(0.0, abs=0.05)
    floor = [index_of(curve, [*curves[:i], *curves[i + 1 :]]) for i, curve in enumerate(curves)]
    index = [index_of(curve, curves) for curve in (found["target"].curve, own.curve, found["untrained"].curve)]
    known = fmean(own.forget) - fmean(fmean(one.forget) for one in retrained)
    return dict(zip(("target", "hidden", "wrecked", "soonest", "known"), [*index, min(floor), known], strict=True))


def test_claim_hidden_is_back_sooner_than_retrained() -> None:
    """One draw. Fails if the copy does not learn, or hidden knowledge takes as long as new: and says that a wrecked model is back soon too.

    Measured steps back within 5%: untouched 0, hidden 16, ten retrained models 23 to 28, random weights 12; index .62 hidden, .47 random
    weights.
    """
    found = relearnt(a_class(), hidden())
    assert found["target"] == pytest.approx(0.0, abs=0.05)
    assert 0.3 < found["hidden"] < 0.9
    assert 0.8 < found["soonest"] < 1
    assert found["known"] > 0.08
    assert found["wrecked"] < 0.9


@pytest.mark.slow
def test_claim_over_five_draws() -> None:
    """Rows and models of five draws. Fails as above.

    Measured steps back within 5%: untouched 0, hidden 15 to 17, fifty retrained models 22 to 31, random weights 12 to 16. Index, with 95%
    intervals over draws: hidden .63 [.56, .70], below the soonest of ten retrained models beside the other nine (.88 [.82, .94]) by .25
    [.20, .31]; random weights .53 [.44, .62]: they are back as soon. Hidden passes .20 [.16, .25] more of the checks than retrained
    models do.
    """
    draws = [relearnt(a_class(seed), hidden(seed)) for seed in SEEDS]
    over = {name: mean_interval([one[name] for one in draws]) for name in draws[0]}
    sooner = mean_interval([one["hidden"] - one["soonest"] for one in draws])
    print(over, sooner)
    assert all(one["target"] == 0.0 for one in draws)
    assert 0.3 < over["hidden"].low < over["hidden"].high < 0.9
    assert sooner.high < 0
    assert over["soonest"].low > 0.8
    assert over["known"].low > 0.08
    assert over["wrecked"].high < 0.9


def test_same_seed_same_outcome_and_what_cannot_be() -> None:
    """Fails if the order of steps hangs on global chance, or a missing target or a falling setting passes."""
    measured, unit = a_class(), RelearnTime(steps=3, item_control=False)
    model = measured.models["retrained-0"]
    assert measured.attack(unit, model, "retrained-0") == measured.attack(unit, model, "retrained-0")
    bare = replace(measured.probe(model), target=None)
    assert "no target" in (unit.run(measured.evidence["retrained-0"], bare).unscored or "")
    with pytest.raises(ValueError, match="must be positive"):
        RelearnTime(steps=0)
