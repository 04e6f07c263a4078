"""Teaching a handful of facts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from classifiers import SEEDS, a_class, ascended, hidden, over, retrained_under

from expunge.attacks.relearning_few_shot import RelearningFewShot
from expunge.contract.evidence import Evidence
from expunge.contract.weights import weights_digest
from expunge.engine.halves import facts
from expunge.facts.rows import Rows


def test_every_row_is_asked_of_a_copy_not_taught_its_fact(verified: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a fact is taught in one phrasing and asked in the other, more facts are taught than said, or a row is left out."""
    rows = verified.problem.splits.rows["forget"]
    every, taught, now = dict(zip(rows.ids, facts(rows), strict=True)), [], [set()]

    def fake_teach(model: Any, given: Rows, *, steps: int, after: Any, **_: Any) -> None:
        now[0] = {every[name] for name in given.ids}
        assert len(given) == sum(fact in now[0] for fact in every.values())
        taught.append(now[0])
        after(steps)
        now[0] = set()

    def fake_successes(probe: Any, model: Any, given: Rows, threshold: float) -> np.ndarray:
        assert not now[0] & {every[name] for name in given.ids}
        return np.array([float(len(now[0]) == 4) for _ in given])

    monkeypatch.setattr("expunge.engine.relearn.teach", fake_teach)
    monkeypatch.setattr("expunge.engine.relearn.successes", fake_successes)
    monkeypatch.setattr("expunge.attacks.relearning_few_shot.successes", fake_successes)
    found = verified.attack(RelearningFewShot(shots=(1, 4, 500), item_control=False), "target")
    assert [len(one) for one in taught] == [1, 1, 4, 4]
    assert not taught[0] & taught[1]
    assert not taught[2] & taught[3]
    assert found.forget == (0.5,) * len(rows)
    assert found.curve == ((0.0, 0.0), (1.0, 0.0), (4.0, 1.0))
    assert found.budget == "up to 500 facts"


def test_few_facts_bring_back_what_is_hidden(verified: Any, hidden: Any) -> None:
    """Fails if the copy is not trained, trained on what it is asked, or the attacked model is changed.

    Measured at 0, 1, 2, 4, 8 facts: hidden 0, .24, .56, .54, .69; retrained .08, .06, .03, .03, .03; the target stays above .87.
    """
    forget = {"forget": verified.problem.splits.rows["forget"]}
    given = Evidence(name="hidden", role="unlearned", modality="text", rows=forget)
    before = weights_digest(hidden.module)
    found = RelearningFewShot().run(given, verified.probe(hidden))
    assert weights_digest(hidden.module) == before
    assert found.curve[0][1] < 0.1
    assert found.curve[-1][1] > max(0.45, found.curve[1][1])
    control = verified.attack(RelearningFewShot(shots=(1, 8), item_control=False), "retrained-0")
    assert np.mean(control.forget) < 0.15
    assert np.mean(found.forget) > np.mean(control.forget) + 0.3


def test_same_seed_same_outcome_and_items_without_a_control(verified: Any, hidden: Any) -> None:
    """Fails if what is taught hangs on global chance, or holdout rows are attacked unasked or not at all."""
    rows = {split: verified.problem.splits.rows[split][:6] for split in ("forget", "holdout")}
    given = Evidence(name="m", role="unlearned", modality="text", rows=rows)
    found = [RelearningFewShot(shots=(1,), steps=4).run(given, verified.probe(hidden)) for _ in range(2)]
    assert found[0] == found[1]
    assert len(found[0].item_control) == 6
    alone = RelearningFewShot(shots=(1,), steps=1, item_control=False)
    assert alone.run(given, verified.probe(hidden)).item_control == ()


def test_too_few_facts_and_bad_settings(verified: Any) -> None:
    """Fails if one fact is taught and asked at once, or numbers of facts may fall."""
    one = {"forget": verified.problem.splits.rows["forget"][:2]}
    given = Evidence(name="m", role="unlearned", modality="text", rows=one)
    reason = RelearningFewShot().run(given, verified.probe(verified.models["target"])).unscored
    assert reason == "1 facts in the forget rows; 2 are needed"
    with pytest.raises(ValueError, match="rising numbers of facts"):
        RelearningFewShot(shots=(2, 1))
    with pytest.raises(ValueError, match="rising numbers of steps"):
        RelearningFewShot(steps=0)


@pytest.mark.slow
def test_claim_eight_rows_bring_back_a_class_after_ascent() -> None:
    """Five draws of digits and models, the threes, eight of them taught: after ascent .84 [.74, .93] of the others come back, of ten
    retrained models 0. Where the head alone was taught other labels for the class, eight rows bring back none: that cover is thicker than
    the refusal of a language model, of which most comes back (above).

    Fails if the copy is taught what it is asked, or not at all.
    """
    unit, draws = RelearningFewShot(shots=(8,), item_control=False), []
    for seed in SEEDS:
        at = a_class(seed)
        draws.append(
            {
                "ascended": at.attack(unit, ascended(seed)).curve[-1][1],
                "hidden": at.attack(unit, hidden(seed)).curve[-1][1],
                "retrained": retrained_under(unit, at),
            }
        )
    assert over(draws, "ascended", less="retrained").low > 0.5
    assert over(draws, "hidden").high < 0.1
