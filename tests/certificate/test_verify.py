"""Verification: any changed byte of the envelope fails, and so does a signer who is not known."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from expunge.certificate.envelope import sign
from expunge.certificate.keys import raw_public
from expunge.certificate.verify import Verification, verify
from expunge.facts.digest import canonical_json, read_json
from expunge.facts.errors import VerificationFailed

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


def test_another_payload_type_fails_though_the_right_key_signed_it(case: Case) -> None:
    """Fails if a signature made for something else than a statement is taken for one (the type is part of PAE)."""
    payload = base64.b64decode(json.loads(case.envelope)["payload"])
    signature = KEY.sign(b"DSSEv1 10 text/plain %d %b" % (len(payload), payload))
    good = json.loads(case.envelope)
    encoded = base64.b64encode(signature).decode()
    entry = {**good["signatures"][0], "sig": encoded}
    other = canonical_json({**good, "payloadType": "text/plain", "signatures": [entry]})
    assert list(failed(verify(other, key=PUBLIC))) == ["payload type"]


def test_importing_the_verifier_needs_no_heavy_package() -> None:
    """Fails if importing the verifier pulls in a heavy package (an auditor's install has neither)."""
    code = (
        "import sys, expunge.certificate.verify; "
        "print([name for name in ('scipy', 'numpy', 'torch', 'jinja2') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
