"""Verification of what is stated: a claim beyond its evidence fails though the right key signed it."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from expunge.certificate.envelope import sign
from expunge.certificate.verify import Verification, verify
from expunge.facts.digest import canonical_json, read_json, sha256
from expunge.facts.record import Record

if TYPE_CHECKING:
    from conftest import Case


KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key()


def failed(verification: Verification) -> dict[str, str]:
    return {check.name: check.words for check in verification.failures}


def statement_of(envelope: bytes) -> Any:
    return read_json(base64.b64decode(json.loads(envelope)["payload"]))


def signed(statement: Any, key: Ed25519PrivateKey = KEY) -> bytes:
    return sign(canonical_json(statement), key).encode()


def stronger(statement: Any) -> None:
    for claim in (statement["predicate"]["claim"], statement["predicate"]["record"]["claim"]):
        claim["rung"] = "indistinguishable"
        claim["missing"] = []


def with_digest(statement: Any) -> Any:
    statement["predicate"]["record_digest"] = Record.model_validate(statement["predicate"]["record"]).digest()
    return statement


def test_a_claim_beyond_the_evidence_fails_though_the_right_key_signed_it(case: Case) -> None:
    """Fails if the claim is read and not derived again."""
    statement = statement_of(case.envelope)
    stronger(statement)
    found = failed(verify(signed(with_digest(statement)), key=PUBLIC))
    assert list(found) == ["claim"]
    assert "rung: stated 'indistinguishable', the evidence gives 'resistant'" in found["claim"]


def test_evidence_below_the_claim_fails_though_the_right_key_signed_it(case: Case) -> None:
    """Fails if the rows of the evidence are not what the tests are made from."""
    statement = statement_of(case.envelope)
    for outcome in statement["predicate"]["record"]["outcomes"]:
        if (outcome["attack"], outcome["model"]) == ("relearning", "unlearned"):
            outcome["forget"] = [1.0] * len(outcome["forget"])
    found = failed(verify(signed(with_digest(statement)), key=PUBLIC))
    assert set(found) == {"tests", "claim"}
    assert "stated 'resistant', the evidence gives 'behavioural'" in found["claim"]


def test_what_the_right_key_signs_must_still_hold_together(case: Case) -> None:
    """Fails if a part that is stated twice, or bound to another, is not compared."""

    def found(change: Any, *, digest: bool = True) -> set[str]:
        statement = statement_of(case.envelope)
        change(statement, statement["predicate"], statement["predicate"]["record"])
        return set(failed(verify(signed(with_digest(statement) if digest else statement), key=PUBLIC)))

    def of(name: str, record: Any) -> Any:
        return next(model for model in record["models"] if model["name"] == name)

    def drop_first(statement: Any, predicate: Any, record: Any) -> None:
        del record["tests"][0]

    def nudge(statement: Any, predicate: Any, record: Any) -> None:
        record["tests"][0]["high"] *= 1 + 1e-4

    assert found(lambda s, p, r: s["subject"].pop()) == {"subjects"}
    assert found(lambda s, p, r: p["child"]["files"].pop("config.json")) == {"subjects"}
    assert found(lambda s, p, r: p.update(record_digest="0" * 64), digest=False) == {"record digest"}
    assert found(lambda s, p, r: of("unlearned", r).update(content_digest="0" * 64)) == {"models measured"}
    assert found(lambda s, p, r: of("target", r).update(content_digest="0" * 64)) == {"models measured"}
    assert found(lambda s, p, r: r["models"].pop(0)) >= {"models measured"}
    assert found(drop_first) == {"tests"}
    assert found(nudge) == {"tests"}
    assert found(lambda s, p, r: p["claim"].update(rung="behavioural")) == {"claim"}
    assert found(lambda s, p, r: r["claim"].update(rung="behavioural")) == {"claim"}
    assert found(lambda s, p, r: r["thresholds"].update(success_margin=0.1)) == {"tests", "claim"}
    assert found(lambda s, p, r: p.update(extra=1)) == {"payload"}
    extra = statement_of(case.envelope)
    extra["predicate"]["extra"] = 1
    assert "predicate.extra: Extra inputs" in failed(verify(signed(extra), key=PUBLIC))["payload"]
    assert found(lambda s, p, r: s.update(predicateType="https://slsa.dev/provenance/v1")) == {"payload"}
    assert found(lambda s, p, r: s.update(_type="https://in-toto.io/Statement/v0.1")) == {"payload"}
    assert found(lambda s, p, r: r["seeds"].update(method=0.0)) == {"payload"}


def test_another_machines_last_digit_passes(case: Case) -> None:
    """Fails if numbers of tests are compared bit by bit: linear algebra libraries differ in the last digits."""
    statement = statement_of(case.envelope)
    statement["predicate"]["record"]["tests"][0]["high"] *= 1 + 1e-7
    assert verify(signed(with_digest(statement)), key=PUBLIC).ok


def test_a_payload_that_is_signed_but_not_canonical_fails(case: Case) -> None:
    """Fails if the payload is only parsed; and a verdict that cannot be made is a failure, not a crash."""
    payload = base64.b64decode(json.loads(case.envelope)["payload"])
    for other in (
        payload + b" ",
        payload.replace(b'{"_type"', b'{"_type":"x","_type"'),
        b"{}",
        b"\xff",
        b"[" * 100_000,
    ):
        assert list(failed(verify(sign(other, KEY).encode(), key=PUBLIC))) == ["payload"]

    def broken(_: Record) -> Any:
        raise ZeroDivisionError("no rows")

    found = failed(verify(case.envelope, key=PUBLIC, verdict=broken))
    assert found == {"claim": "the evidence cannot be judged again: ZeroDivisionError: no rows"}


def test_nothing_checked_is_not_verified() -> None:
    """Fails if a result without a statement counts as good because nothing failed."""
    assert not Verification(checks=()).ok


def test_the_verdict_never_sees_what_was_stated(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if stored tests or the stored claim reach the deriving functions."""
    import expunge.verdict.reach as verdict

    seen: list[Record] = []
    real = verdict.reach

    def reach(record: Record) -> Any:
        seen.append(record)
        return real(record)

    monkeypatch.setattr(verdict, "reach", reach)
    assert verify(case.envelope, key=PUBLIC).ok
    assert [(record.tests, record.claim, len(record.outcomes)) for record in seen] == [((), None, 9)]


def test_nan_in_evidence_survives_the_round_trip(case: Case, issue_again: Any) -> None:
    """Fails if NaN becomes null on the way: the digest and the verdict would be of other evidence."""
    record = case.record.model_copy(update={"overlap": {"ratio": float("nan"), "low": float("-inf")}})
    envelope = issue_again(record)
    assert verify(envelope, key=PUBLIC).ok
    stated = statement_of(envelope)["predicate"]["record"]["overlap"]
    assert (stated["ratio"] != stated["ratio"], stated["low"]) == (True, float("-inf"))
    zero = case.record.model_copy(update={"overlap": {"ratio": None, "low": float("-inf")}})
    assert record.digest() != zero.digest()


def test_a_certificate_of_an_untouched_target_speaks_of_the_target(case: Case, issue_again: Any) -> None:
    """Fails if `not_found` (nothing removed, no unlearned model) cannot be certified or verified."""
    from expunge.certificate.issue import issue

    whole = case.record
    record = whole.model_copy(
        update={
            "models": tuple(model for model in whole.models if model.role != "unlearned"),
            "outcomes": tuple(
                outcome.model_copy(update={"forget": (0.0,) * 16}) if outcome.model == "target" else outcome
                for outcome in whole.outcomes
                if outcome.model != "unlearned"
            ),
            "method": whole.method.model_copy(update={"digest_after": "a"}),
            "thresholds": whole.thresholds.model_copy(update={"presence_margin": 0.5}),
        }
    )
    envelope = issue(record, KEY, case.target, forget=case.forget, target_dir=case.target)
    checked = verify(envelope, key=PUBLIC, model_dir=case.target, parent_dir=case.target)
    assert checked.ok, checked.text()
    assert checked.require().predicate.claim.not_found
    assert sha256(envelope) != sha256(case.envelope)
