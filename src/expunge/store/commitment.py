"""Commit to forget rows without keeping them: HMACs under a salt that can be dropped."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from expunge.facts.digest import canonical_json, read_json
from expunge.facts.errors import InputError
from expunge.facts.rows import Row
from expunge.store.atomic import sync_directory, write_atomic


@dataclass(frozen=True, kw_only=True)
class Commitment:
    """One HMAC a row, in order, and one over all of them."""

    rows: tuple[str, ...]
    combined: str


def commit(rows: Iterable[Row], salt: bytes) -> Commitment:
    """Return HMAC-SHA256 commitments of rows under a secret salt.

    Short texts can be guessed, so a plain hash would give them away; without the salt these say nothing. A row's HMAC
    is over its content alone, so that one row can be shown to have been in the request without its old id; the
    combined one is over ids and row HMACs in order.
    """
    if len(salt) < 16:
        raise InputError("a salt needs at least 16 bytes")
    ids, each = [], []
    for row in rows:
        ids.append(row.id)
        each.append(hmac.digest(salt, b"expunge/row/v1\0" + row.content(), "sha256").hex())
    together = canonical_json([[name, mac] for name, mac in zip(ids, each, strict=True)])
    return Commitment(rows=tuple(each), combined=hmac.digest(salt, b"expunge/rows/v1\0" + together, "sha256").hex())


def salt_path(folder: Path, request: str) -> Path:
    """Return where the salt of a request lies."""
    return folder / f"{request}.json"


def make_salt(folder: Path, request: str) -> bytes:
    """Make and keep a fresh 32-byte salt, readable by its owner only, and return it."""
    path = salt_path(folder, request)
    if path.exists():
        raise InputError(f"the request {request!r} has a salt already")
    salt = secrets.token_bytes(32)
    write_atomic(path, canonical_json({"request": request, "salt": salt.hex()}), mode=0o600)
    return salt


def read_salt(folder: Path, request: str) -> bytes | None:
    """Return the salt of a request, or None once it was dropped."""
    path = salt_path(folder, request)
    return bytes.fromhex(read_json(path.read_bytes())["salt"]) if path.is_file() else None


def remove_salt(folder: Path, request: str) -> bool:
    """Remove the salt of a request and return whether there was one."""
    path = salt_path(folder, request)
    if not path.is_file():
        return False
    path.unlink()
    sync_directory(folder)
    return True
