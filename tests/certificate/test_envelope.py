"""DSSE by its specification."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from expunge.certificate.envelope import pre_authentication_encoding, read_envelope, sign
from expunge.facts.errors import VerificationFailed

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))


def test_pae_is_that_of_the_specification() -> None:
    """Fails if lengths are counted in characters, or a space or the version is left out."""
    assert pre_authentication_encoding("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert pre_authentication_encoding("ä", b"") == b"DSSEv1 2 \xc3\xa4 0 "


def test_an_envelope_by_hand() -> None:
    """Fails if the payload is signed without its type, or a field has another name than DSSE's."""
    raw = KEY.public_key().public_bytes_raw()
    signature = KEY.sign(b"DSSEv1 28 application/vnd.in-toto+json 2 {}")
    expected = {
        "payload": "e30=",
        "payloadType": "application/vnd.in-toto+json",
        "signatures": [{"keyid": hashlib.sha256(raw).hexdigest(), "sig": base64.b64encode(signature).decode()}],
    }
    made = sign(b"{}", KEY).encode()
    assert json.loads(made) == expected
    read = read_envelope(made)
    assert (read.payload, read.signature) == (b"{}", signature)
    assert read.is_signed_by(KEY.public_key())
    assert not read.is_signed_by(OTHER_KEY.public_key())


def test_other_spellings_of_the_same_envelope_are_refused() -> None:
    """Fails if JSON is only parsed: white space, order, doubled or unknown fields, escapes and url-safe base64 pass."""
    payload = b"\xfb\xff\xfe\xfb"
    good = sign(payload, KEY).encode()
    plain = json.loads(good)
    entry = plain["signatures"][0]
    spellings = [
        json.dumps(plain).encode(),
        json.dumps(dict(reversed(plain.items())), separators=(",", ":")).encode(),
        good + b"\n",
        b" " + good,
        good.replace(b'{"payload"', b'{"extra":1,"payload"'),
        good.replace(b'{"payload"', b'{"payload":"","payload"'),
        good.replace(b"vnd", b"\\u0076nd"),
        good.replace(b"+//+", b"-__-"),
        good.replace(b'"sig"', b'"note":"x","sig"'),
        good.replace(b"+//++w==", b"+//++w=="[:-2]),
        json.dumps({**plain, "signatures": [entry, entry]}, separators=(",", ":")).encode(),
        json.dumps({**plain, "signatures": []}, separators=(",", ":")).encode(),
        b"[]",
        b"",
        b"\xff",
        b"[" * 100_000,
    ]
    assert read_envelope(good).payload == payload
    for spelling in spellings:
        assert spelling != good
        with pytest.raises(VerificationFailed):
            read_envelope(spelling)


def test_unused_padding_bits_are_refused() -> None:
    """Fails if base64 is only decoded: `e30=` and `e31=` decode to the same two bytes."""
    good = sign(b"{}", KEY).encode()
    assert base64.b64decode("e31=") == base64.b64decode("e30=") == b"{}"
    with pytest.raises(VerificationFailed, match="canonical spelling"):
        read_envelope(good.replace(b"e30=", b"e31="))
    signature = json.loads(good)["signatures"][0]["sig"]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    twin = signature[:-3] + alphabet[alphabet.index(signature[-3]) ^ 1] + "=="
    assert base64.b64decode(twin) == base64.b64decode(signature)
    with pytest.raises(VerificationFailed, match="canonical spelling"):
        read_envelope(good.replace(signature.encode(), twin.encode()))
