"""Evidence as plain files named by the sha256 of their bytes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from expunge.facts.digest import sha256
from expunge.facts.errors import InputError, VerificationFailed
from expunge.store.atomic import write_atomic


@dataclass(frozen=True, kw_only=True)
class Objects:
    """A folder of objects: `ab/cdef...` holds the bytes whose sha256 is `abcdef...`."""

    folder: Path

    def path(self, digest: str) -> Path:
        """Return where an object lies or would lie."""
        if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
            raise InputError(f"{digest!r} is not a sha256")
        return self.folder / digest[:2] / digest[2:]

    def put(self, data: bytes) -> str:
        """Keep bytes and return their sha256; a damaged file under the same name is replaced."""
        digest = sha256(data)
        path = self.path(digest)
        if not (path.is_file() and sha256(path.read_bytes()) == digest):
            write_atomic(path, data)
        return digest

    def get(self, digest: str) -> bytes:
        """Return the bytes of an object; bytes that do not give its name are refused."""
        path = self.path(digest)
        if not path.is_file():
            raise VerificationFailed(f"the evidence object {digest} is missing", do="restore the store from a backup")
        data = path.read_bytes()
        if sha256(data) != digest:
            raise VerificationFailed(f"the evidence object {digest} was changed", do="restore the store from a backup")
        return data
