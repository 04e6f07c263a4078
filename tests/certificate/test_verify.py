"""Verification: any changed byte of the envelope or of the model fails, and so does a claim beyond its evidence."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from expunge.certificate.envelope import sign
from expunge.certificate.keys import raw_public
from expunge.certificate.predicate import CERTIFICATE_NAME
from expunge.certificate.verify import Verification, verify
from expunge.facts.digest import canonical_json, read_json, sha256
from expunge.facts.errors import VerificationFailed
from expunge.facts.record import Record

if TYPE_CHECKING:
    from conftest import Case


KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
PUBLIC = KEY.public_key()


def failed(verification: Verification) -> dict[str, str]:
    return {check.name: check.words for check in verification.failures}


def statement_of(envelope: bytes) -> Any:
    return read_json(base64.b64decode(json.loads(envelope)["payload"]))


def signed(statement: Any, key: Ed25519PrivateKey = KEY) -> bytes:
    return sign(canonical_json(statement), key).encode()


def test_an_untouched_certificate_passes_every_check(case: Case) -> None:
    """Fails if a check is left out of the result, or one that did not run is counted as passed."""
    full = verify(case.envelope, key=PUBLIC, model_dir=case.unlearned, parent_dir=case.target)
    assert full.ok
    assert [check.name for check in full.checks] == [
        "envelope",
        "payload type",
        "key id",
        "signature",
        "payload",
        "signer",
        "subjects",
        "record digest",
        "models measured",
        "tests",
        "claim",
        "model files",
        "model content",
        "parent files",
        "parent content",
    ]
    assert {check.state for check in full.checks} == {"passed"}
    assert full.require().predicate.claim.rung == "resistant"
    without = verify(case.envelope, key=PUBLIC)
    assert without.ok
    assert {check.name for check in without.checks if check.state == "not checked"} == {"model files", "parent files"}


def test_every_flipped_byte_of_the_envelope_fails(shared_case: Case) -> None:
    """Fails if any byte is not protected: DSSE signs neither keyid nor JSON nor base64 spelling.

    One bit of every byte in turn, and all eight bits of each byte outside the payload.
    """
    good = shared_case.envelope
    inside = range(good.index(b'"payload":"') + 40, good.index(b'","payloadType"') - 40)
    passed = []
    for position in range(len(good)):
        bits = (1 << position % 8,) if position in inside else tuple(1 << bit for bit in range(8))
        for bit in bits:
            changed = bytearray(good)
            changed[position] ^= bit
            if verify(bytes(changed), key=PUBLIC).ok:
                passed.append((position, bit))
    assert passed == []
    assert len(good) > 9000


def test_flipped_bytes_fail_without_a_known_key_too(shared_case: Case) -> None:
    """Fails if, with an unknown signer allowed, only the signature's form is looked at."""
    good = shared_case.envelope
    for position in [*range(0, len(good), 37), *range(len(good) - 200, len(good))]:
        changed = bytearray(good)
        changed[position] ^= 1 << position % 7
        assert not verify(bytes(changed), allow_unknown_signer=True).ok, position


def test_removed_and_doubled_bytes_fail(shared_case: Case) -> None:
    """Fails if a truncated or lengthened envelope is read as far as it makes sense."""
    good = shared_case.envelope
    for position in range(0, len(good), 101):
        assert not verify(good[:position] + good[position + 1 :], key=PUBLIC).ok
        assert not verify(good[:position] + good[position : position + 1] + good[position:], key=PUBLIC).ok
        assert not verify(good[:position], key=PUBLIC).ok


def flips(folder: Path) -> Iterator[tuple[Path, int, bytes]]:
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        good = path.read_bytes()
        for position in range(len(good)):
            yield path, position, good


def test_every_flipped_byte_of_every_model_file_fails(case: Case) -> None:
    """Fails if one kind of file, the safetensors header, its padding or a tensor's bytes is not covered."""
    judged: list[int] = []

    def verdict(record: Record) -> tuple[Any, Any]:
        judged.append(1)
        return record.tests, record.claim

    kinds: dict[str, int] = {}
    for path, position, good in flips(case.unlearned):
        changed = bytearray(good)
        changed[position] ^= 1 << position % 8
        path.write_bytes(bytes(changed))
        found = failed(verify(case.envelope, key=PUBLIC, model_dir=case.unlearned, verdict=verdict))
        path.write_bytes(good)
        name = path.relative_to(case.unlearned).as_posix()
        assert found == {"model files": f"changed {name}"}
        kinds[name] = kinds.get(name, 0) + 1
    sizes = {"model.safetensors": 8 + 72 + 16, "binary.model": 16}
    sizes |= {"config.json": 19, "tokenizer/vocab.txt": 5, ".gitattributes": 12}
    assert kinds == sizes
    assert len(judged) == sum(sizes.values())
    assert verify(case.envelope, key=PUBLIC, model_dir=case.unlearned).ok


def test_header_padding_that_changes_no_meaning_fails(case: Case) -> None:
    """Fails if the model is bound by its content digest alone: a tab for a space leaves that unchanged."""
    path = case.unlearned / "model.safetensors"
    good = path.read_bytes()
    end = 8 + int.from_bytes(good[:8], "little")
    assert good[end - 8 : end] == b" " * 8
    path.write_bytes(good[: end - 1] + b"\t" + good[end:])
    assert failed(verify(case.envelope, key=PUBLIC, model_dir=case.unlearned)) == {
        "model files": "changed model.safetensors"
    }


def test_missing_extra_and_linked_files_fail(case: Case, tmp_path: Path) -> None:
    """Fails if only the files listed are looked at, or a link stands in for a file."""

    def words() -> str:
        found = failed(verify(case.envelope, key=PUBLIC, model_dir=case.unlearned))
        assert list(found) == ["model files"]
        return found["model files"]

    extra = case.unlearned / "tokenizer" / "added.json"
    extra.write_bytes(b"")
    assert words() == "extra tokenizer/added.json"
    extra.unlink()
    config = case.unlearned / "config.json"
    good = config.read_bytes()
    config.unlink()
    assert words() == "missing config.json"
    (tmp_path / "elsewhere").write_bytes(good)
    config.symlink_to(tmp_path / "elsewhere")
    assert "is a link" in words()
    config.unlink()
    os.mkfifo(config)
    assert "neither a file nor a directory" in words()
    config.unlink()
    config.write_bytes(good)
    assert verify(case.envelope, key=PUBLIC, model_dir=case.unlearned).ok
    gone = verify(case.envelope, key=PUBLIC, model_dir=tmp_path / "nowhere")
    assert "is not a directory" in failed(gone)["model files"]


def test_the_certificate_itself_may_lie_in_the_directory_and_nothing_else_under_its_name(case: Case) -> None:
    """Fails if a file of that name is let through without being this very certificate."""
    place = case.unlearned / CERTIFICATE_NAME
    place.write_bytes(case.envelope)
    assert verify(case.envelope, key=PUBLIC, model_dir=case.unlearned).ok
    place.write_bytes(case.envelope + b"\n")
    found = failed(verify(case.envelope, key=PUBLIC, model_dir=case.unlearned))
    assert found == {"model files": "extra certificate.json"}


def test_another_model_or_parent_fails(case: Case) -> None:
    """Fails if the parent is not compared with what the certificate says of it."""
    swapped = verify(case.envelope, key=PUBLIC, model_dir=case.target, parent_dir=case.unlearned)
    assert failed(swapped) == {
        "model files": "changed model.safetensors",
        "parent files": "changed model.safetensors",
    }


def test_a_parent_without_listed_files_is_checked_by_its_content(case: Case) -> None:
    """Fails if an empty list of files lets any parent pass."""
    statement = statement_of(case.envelope)
    statement["predicate"]["parent"]["files"] = {}
    envelope = signed(statement)
    right = verify(envelope, key=PUBLIC, parent_dir=case.target)
    assert right.ok
    assert [check.state for check in right.checks if check.name == "parent files"] == ["not checked"]
    assert list(failed(verify(envelope, key=PUBLIC, parent_dir=case.unlearned))) == ["parent content"]


def test_without_a_key_the_signer_is_not_checked(case: Case) -> None:
    """Fails if anyone's certificate passes by naming its own key."""
    unknown = verify(case.envelope)
    assert not unknown.ok
    assert list(failed(unknown)) == ["signer"]
    assert failed(unknown)["signer"].startswith("signature consistent; signer NOT checked")
    allowed = verify(case.envelope, allow_unknown_signer=True)
    assert allowed.ok
    assert [check.state for check in allowed.checks if check.name == "signer"] == ["not checked"]
    with pytest.raises(VerificationFailed, match="signer NOT checked"):
        unknown.require()


def test_an_attackers_own_key_fails_against_the_known_one(case: Case) -> None:
    """Fails if the embedded key or the key id decides instead of the key that was given."""
    statement = statement_of(case.envelope)
    found = failed(verify(signed(statement, OTHER_KEY), key=PUBLIC))
    assert set(found) == {"key id", "signature"}
    forged = json.loads(signed(statement, OTHER_KEY))
    forged["signatures"][0]["keyid"] = json.loads(case.envelope)["signatures"][0]["keyid"]
    assert list(failed(verify(canonical_json(forged), key=PUBLIC))) == ["signature"]
    assert not verify(canonical_json(forged), allow_unknown_signer=True).ok
    statement["predicate"]["issuer"]["public_key"] = raw_public(OTHER_KEY.public_key()).hex()
    assert list(failed(verify(signed(statement), key=PUBLIC))) == ["signer"]
    statement["predicate"]["issuer"]["public_key"] = "00"
    assert list(failed(verify(signed(statement), key=PUBLIC))) == ["signer"]


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
    assert found(lambda s, p, r: s.update(predicateType="https://slsa.dev/provenance/v1")) == {"payload"}
    assert found(lambda s, p, r: s.update(_type="https://in-toto.io/Statement/v0.1")) == {"payload"}
    assert found(lambda s, p, r: r["seeds"].update(method=0.0)) == {"payload"}


def test_another_machines_last_digit_passes(case: Case) -> None:
    """Fails if numbers of tests are compared bit by bit: linear algebra libraries differ in the last digits."""
    statement = statement_of(case.envelope)
    statement["predicate"]["record"]["tests"][0]["high"] *= 1 + 1e-12
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


def test_nan_in_evidence_survives_the_round_trip(case: Case, issue_again: Any) -> None:
    """Fails if NaN becomes null on the way: the digest and the verdict would be of other evidence."""
    record = case.record.model_copy(update={"overlap": {"ratio": float("nan"), "low": float("-inf")}})
    envelope = issue_again(record)
    assert verify(envelope, key=PUBLIC).ok
    stated = statement_of(envelope)["predicate"]["record"]["overlap"]
    assert (stated["ratio"] != stated["ratio"], stated["low"]) == (True, float("-inf"))
    zero = case.record.model_copy(update={"overlap": {"ratio": None, "low": float("-inf")}})
    assert record.digest() != zero.digest()


def test_importing_the_verifier_needs_no_heavy_package() -> None:
    """Fails if importing the verifier pulls in a heavy package (an auditor's install has neither)."""
    code = (
        "import sys, expunge.certificate.verify; "
        "print([name for name in ('scipy', 'numpy', 'torch', 'jinja2') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


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
