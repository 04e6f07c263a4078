"""The DSSE envelope: a payload, its type and one Ed25519 signature, in one canonical spelling.

Source: https://github.com/secure-systems-lab/dsse/blob/master/protocol.md (v1.0.2).
Differs: exactly one signature, standard base64 only, and the envelope's JSON must be canonical, so that no byte of a
certificate can change without verification failing. DSSE leaves JSON and base64 spelling and `keyid` unprotected.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from expunge.certificate.keys import keyid
from expunge.facts.digest import canonical_json, read_json
from expunge.facts.errors import VerificationFailed

PAYLOAD_TYPE = "application/vnd.in-toto+json"


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """What stands between the braces, decoded."""

    payload: bytes
    payload_type: str
    keyid: str
    signature: bytes

    def encode(self) -> bytes:
        """Return the canonical bytes of the envelope."""
        signature = {"keyid": self.keyid, "sig": _encode(self.signature)}
        return canonical_json(
            {"payload": _encode(self.payload), "payloadType": self.payload_type, "signatures": [signature]}
        )

    def is_signed_by(self, key: Ed25519PublicKey) -> bool:
        """True where the signature over the pre-authentication encoding verifies under `key`."""
        try:
            key.verify(self.signature, pre_authentication_encoding(self.payload_type, self.payload))
        except InvalidSignature:
            return False
        return True


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """Return DSSE's PAE: `DSSEv1 len(type) type len(payload) payload`, lengths in bytes and decimal ASCII."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign(payload: bytes, key: Ed25519PrivateKey) -> Envelope:
    """Return the payload signed. Ed25519 is deterministic: one payload and key give one envelope."""
    signature = key.sign(pre_authentication_encoding(PAYLOAD_TYPE, payload))
    return Envelope(payload=payload, payload_type=PAYLOAD_TYPE, keyid=keyid(key.public_key()), signature=signature)


def read_envelope(data: bytes) -> Envelope:
    """Return the decoded envelope; anything but its one canonical spelling is refused.

    Re-encoding what was decoded must give the same bytes. That covers unknown fields, doubled keys, white space,
    escapes, and base64 whose unused padding bits differ though it decodes alike.
    """
    try:
        plain: Any = read_json(data)
        (signature,) = plain["signatures"]
        envelope = Envelope(
            payload=base64.b64decode(plain["payload"], validate=True),
            payload_type=str(plain["payloadType"]),
            keyid=str(signature["keyid"]),
            signature=base64.b64decode(signature["sig"], validate=True),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error) as cause:
        raise VerificationFailed(
            "the file is not a certificate envelope", causes=(f"{type(cause).__name__}: {cause}",)
        ) from cause
    if envelope.encode() != data:
        raise VerificationFailed(
            "the envelope is not in its canonical spelling",
            causes=("it was edited or re-formatted after signing", "a field, a space or base64 padding was changed"),
            do="get the certificate again from its issuer, byte for byte",
        )
    return envelope


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
