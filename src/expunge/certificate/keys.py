"""Ed25519 key pairs as PEM files, and the key id that names one."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from expunge.facts.errors import InputError


def raw_public(key: Ed25519PublicKey) -> bytes:
    """Return the 32 raw bytes of a public key."""
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def keyid(key: Ed25519PublicKey) -> str:
    """Return the hexadecimal sha256 of the raw public key."""
    return hashlib.sha256(raw_public(key)).hexdigest()


def keygen(private: Path, public: Path, *, passphrase: bytes | None = None) -> str:
    """Write a new key pair (PKCS8 PEM readable by its owner only, public PEM) and return its key id.

    Existing files are never overwritten: a lost signing key cannot be made again.
    """
    for path in (private, public):
        if path.exists():
            raise InputError(f"{path} exists already", do="choose another file name; keys are never overwritten")
    key = Ed25519PrivateKey.generate()
    lock: KeySerializationEncryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    _write_new(private, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock), mode=0o600)
    _write_new(public, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), mode=0o644)
    return keyid(key.public_key())


def load_private_key(path: Path, *, passphrase: bytes | None = None) -> Ed25519PrivateKey:
    """Read an Ed25519 private key, or say what the file is instead."""
    try:
        key = load_pem_private_key(path.read_bytes(), passphrase)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as cause:
        raise _unreadable(path, "private", cause) from cause
    if not isinstance(key, Ed25519PrivateKey):
        raise _unreadable(path, "private", f"it holds a {type(key).__name__}")
    return key


def load_public_key(path: Path) -> Ed25519PublicKey:
    """Read an Ed25519 public key, or say what the file is instead."""
    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm) as cause:
        raise _unreadable(path, "public", cause) from cause
    if not isinstance(key, Ed25519PublicKey):
        raise _unreadable(path, "public", f"it holds a {type(key).__name__}")
    return key


def _unreadable(path: Path, kind: str, cause: object) -> InputError:
    return InputError(
        f"{path} is not a usable Ed25519 {kind} key",
        causes=(str(cause),),
        do="make a pair with: expunge certificate keygen",
    )


def _write_new(path: Path, data: bytes, *, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as stream:
        os.fchmod(descriptor, mode)
        stream.write(data)
        stream.flush()
        os.fsync(descriptor)
