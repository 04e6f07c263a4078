"""The cache that pipeline hands to everything below: the store's, with each entry under the request it was made for."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from expunge.facts.digest import sha256
from expunge.store.cache import Cache

MADE_BY = f"expunge {version('expunge')}, torch {version('torch')}"
"""Part of every key: another version may compute another number."""


@dataclass(frozen=True)
class RequestCache:
    """A store's cache whose entries `purge --request` finds."""

    cache: Cache
    request: str

    def get(self, key: str) -> bytes | None:
        """Return what was put under `key` by this version, or None."""
        return self.cache.get(_own(key), request=self.request)

    def put(self, key: str, value: bytes) -> None:
        """Keep `value` under `key`."""
        self.cache.put(_own(key), value, request=self.request)

    def get_directory(self, key: str) -> Path | None:
        """Return the directory that was put under `key` by this version, or None. Read it, do not write into it."""
        return self.cache.get_directory(_own(key), request=self.request)

    def put_directory(self, key: str, source: Path) -> None:
        """Keep a copy of a directory (a model) under `key`."""
        self.cache.put_directory(_own(key), source, request=self.request)


def _own(key: str) -> str:
    return sha256(f"{MADE_BY}/{key}".encode())
