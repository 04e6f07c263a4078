"""The record: what two runs of one plan agree on."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from pydantic import ValidationError

from expunge.facts.claim import Claim, at_least
from expunge.facts.digest import read_json
from expunge.facts.record import MethodFacts, Outcome, Record, SplitFacts
from expunge.facts.score import Score


def record(**changed: Any) -> Record:
    given: dict[str, Any] = {
        "request": {"id": "r", "commitment": "salted", "kind": "data"},
        "splits": (SplitFacts(name="forget", n=2, commitment="salted"),),
        "method": MethodFacts(name="npo", notes={"fit_loss": math.nan}),
        "outcomes": (Outcome(attack="loss", model="m", kind="member", forget=(0.5, math.inf), cost={"s": 1.0}),),
        "cost": {"s": 3.0},
        "created": "2026-01-01",
    }
    return Record(**{**given, **changed})


def test_canonical_leaves_out_what_differs_between_two_runs() -> None:
    """Fails if cost, times, an attack's cost or a salted commitment enters."""
    other = record(
        request={"id": "r", "commitment": "other salt", "kind": "data"},
        splits=(SplitFacts(name="forget", n=2, commitment="other salt"),),
        outcomes=(Outcome(attack="loss", model="m", kind="member", forget=(0.5, math.inf), cost={"s": 9.0}),),
        cost={},
        created="2027-01-01",
    )
    assert other.canonical() == record().canonical()
    assert other.digest() == record().digest()
    assert other.to_json() != record().to_json()
    text = record().canonical().decode()
    assert "salted" not in text
    assert "2026" not in text


@pytest.mark.parametrize(
    "changed",
    [
        {"method": MethodFacts(name="npo", seed=1)},
        {"outcomes": ()},
        {"outcomes": (Outcome(attack="loss", model="m", kind="member", forget=(0.5, 1.0)),)},
        {"splits": (SplitFacts(name="forget", n=3),)},
        {"seeds": {"method": 1}},
        {"claim": Claim(provenance="none", rung="behavioural", control="item")},
    ],
    ids=["method", "no outcome", "one number", "split", "seeds", "claim"],
)
def test_canonical_keeps_everything_else(changed: dict[str, Any]) -> None:
    """Fails if a number, a seed or the claim is left out of what two runs must agree on."""
    assert record(**changed).canonical() != record().canonical()


def test_nan_and_infinity_survive_json() -> None:
    """Fails if NaN becomes null or a number on the way to disk and back."""
    back = Record.model_validate(read_json(record().to_json()))
    assert math.isnan(back.method.notes["fit_loss"])
    assert back.outcomes[0].forget == (0.5, math.inf)
    json.loads(record().to_json(), parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


def test_an_unknown_field_or_role_is_refused() -> None:
    """Fails if a record may carry what no verdict reads, or a split carry text."""
    with pytest.raises(ValidationError):
        record(text="a forgotten sentence")
    with pytest.raises(ValidationError):
        SplitFacts(name="forget", n=1, rows=("a forgotten sentence",))  # type: ignore[call-arg]


def test_scores_stay_scores_in_a_record() -> None:
    """Fails if an unscored measurement comes back with a value."""
    measured: Any = {"metric": "ks", "model": "m", "split": "forget", "score": Score(name="ks", unscored="too few")}
    back = Record.model_validate(read_json(record(measurements=(measured,)).to_json()))
    assert back.measurements[0].score.value is None
    assert back.measurements[0].score.unscored == "too few"


def test_the_ladder_and_its_headline() -> None:
    """Fails if rungs compare as words, provenance hides that it was contradicted, or a qualifier is dropped."""
    assert at_least("resistant", "behavioural")
    assert not at_least("suppressed", "behavioural")
    assert at_least("indistinguishable", "indistinguishable")
    claim = Claim(provenance="exact", rung="resistant", control="retrained", qualifiers=("conditional on 3 models",))
    assert claim.headline == "exact (conditional on 3 models)"
    assert claim.model_copy(update={"provenance": "none"}).headline == "resistant (conditional on 3 models)"
    assert claim.model_copy(update={"contradicted": True}).headline.startswith("not_shown")
    absent = Claim(provenance="none", rung="not_shown", not_found=True, control="item")
    assert absent.headline == "not_found"
