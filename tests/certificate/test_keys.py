"""Key pairs on disk."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from expunge.certificate.keys import keygen, keyid, load_private_key, load_public_key
from expunge.facts.errors import InputError


def test_key_id_is_the_sha256_of_the_raw_key_of_rfc_8032() -> None:
    """Fails if the id is taken over PEM or DER bytes (RFC 8032, 7.1, test 1)."""
    secret = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    public = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    key = Ed25519PrivateKey.from_private_bytes(secret)
    assert keyid(key.public_key()) == hashlib.sha256(public).hexdigest()


def test_a_pair_is_written_for_its_owner_alone_and_reads_back(tmp_path: Path) -> None:
    """Fails if others can read the private key, or the files hold two different keys."""
    private, public = tmp_path / "keys" / "k.pem", tmp_path / "keys" / "k.pub"
    made = keygen(private, public)
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert stat.S_IMODE(public.stat().st_mode) == 0o644
    assert private.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")
    assert keyid(load_private_key(private).public_key()) == keyid(load_public_key(public)) == made


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    """Fails if an existing private or public file is replaced, or one of a pair is written before that is known."""
    for taken in ("a", "b"):
        (tmp_path / taken).write_bytes(b"mine")
        with pytest.raises(InputError, match="exists already"):
            keygen(tmp_path / "a", tmp_path / "b")
        assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"mine"]
        (tmp_path / taken).unlink()


def test_a_passphrase_is_needed_again(tmp_path: Path) -> None:
    """Fails if the passphrase is ignored when writing."""
    made = keygen(tmp_path / "a", tmp_path / "b", passphrase=b"word")
    with pytest.raises(InputError, match=r"(?i)password"):
        load_private_key(tmp_path / "a")
    assert keyid(load_private_key(tmp_path / "a", passphrase=b"word").public_key()) == made


def test_other_files_are_refused_with_their_cause(tmp_path: Path) -> None:
    """Fails if a key of another kind, a swapped pair or no key at all is taken."""
    keygen(tmp_path / "a", tmp_path / "b")
    curve = generate_private_key(SECP256R1())
    (tmp_path / "ec").write_bytes(curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (tmp_path / "ec.pub").write_bytes(curve.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(InputError, match="it holds a ECPrivateKey"):
        load_private_key(tmp_path / "ec")
    with pytest.raises(InputError, match="it holds a ECPublicKey"):
        load_public_key(tmp_path / "ec.pub")
    for load, name in ((load_public_key, "a"), (load_private_key, "b"), (load_public_key, "none")):
        with pytest.raises(InputError, match=f"{name} is not a usable Ed25519"):
            load(tmp_path / name)
