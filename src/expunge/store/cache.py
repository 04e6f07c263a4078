"""A cache that can be thrown away: scores, generations, features, models by the hash of what they were made from."""

from __future__ import annotations

import logging
import secrets
import shutil
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expunge.facts.digest import canonical_json, directory_digests, sha256
from expunge.facts.errors import InputError
from expunge.store.atomic import PARTIAL, disk_errors, make_directory, remove, size_of, sync_directory, sync_tree
from expunge.store.index import writing

log = logging.getLogger("expunge.store")
_BYTES = "bytes"


def cache_key(settings: Mapping[str, Any]) -> str:
    """Return the sha256 of settings in canonical JSON: whatever changes the result must be among them."""
    return sha256(canonical_json(dict(settings)))


@dataclass(frozen=True, kw_only=True)
class Cache:
    """Entries are directories `ab/<key>`; the index knows which are whole, their size, last use and requests.

    An entry is announced (not `ready`) before its first byte is written, so that whatever a killed writer leaves
    behind is known to `purge`. It becomes ready in one transaction with its rename. What a person asked to have
    forgotten may be in here; nothing in here is evidence.
    """

    folder: Path
    index: sqlite3.Connection
    index_path: Path

    def get(self, key: str, *, request: str | None = None) -> bytes | None:
        """Return cached bytes, or None."""
        entry = self.get_directory(key, request=request)
        return (entry / _BYTES).read_bytes() if entry is not None else None

    def put(self, key: str, data: bytes, *, request: str | None = None) -> None:
        """Cache bytes."""
        with self.filling(key, request=request) as entry:
            (entry / _BYTES).write_bytes(data)

    def put_directory(self, key: str, source: Path, *, request: str | None = None) -> None:
        """Cache a copy of a directory (a model)."""
        with self.filling(key, request=request) as entry:
            shutil.copytree(source, entry, dirs_exist_ok=True)

    @contextmanager
    def filling(self, key: str, *, request: str | None = None) -> Iterator[Path]:
        """Give an empty directory to fill; it becomes the entry when the block ends well, else nothing is left."""
        with disk_errors(self._path(key)):
            partial = self._announce(key, request)
            try:
                partial.mkdir()
                yield partial
                self._publish(key, partial)
            except BaseException:
                self._withdraw(key, partial)
                raise

    def get_directory(self, key: str, *, request: str | None = None) -> Path | None:
        """Return the directory of a whole entry, or None. Read it, do not write into it.

        Its files are hashed each time: an entry that is not what was put is dropped, which is said in the log.
        """
        digest = self._ready(key)
        if digest is None:
            return None
        whole = self._digest(key) == digest
        with writing(self.index, self.index_path):
            digest = self._ready(key)
            if digest is None:
                return None
            if not whole and self._digest(key) != digest:
                self._drop(key)
                log.warning("cache entry %s was damaged; it was dropped and will be computed again", key[:16])
                return None
            self.index.execute("UPDATE cache SET used = ? WHERE key = ?", (time.time(), key))
            self._tag(key, request)
        return self._path(key)

    def size(self) -> int:
        """Return the bytes of all whole entries."""
        (size,) = self.index.execute("SELECT COALESCE(SUM(size), 0) FROM cache WHERE ready = 1").fetchone()
        return int(size)

    def purge(self, *, request: str | None = None, all: bool = False) -> int:
        """Remove every entry, or those made for one request, half-written ones too; return the bytes freed."""
        if (request is None) == (not all):
            raise InputError("purge needs either a request or all", do="expunge purge --request ID, or --all")
        with writing(self.index, self.index_path):
            if all:
                freed = sum(remove(path) for path in sorted(self.folder.iterdir())) if self.folder.is_dir() else 0
                self.index.execute("DELETE FROM cache")
                return freed
            keys = self.index.execute("SELECT key FROM cache_requests WHERE request = ?", (request,)).fetchall()
            return sum(self._drop(key) for (key,) in keys)

    def trim(self, largest: int) -> int:
        """Remove the entries used longest ago until at most `largest` bytes are left; return the bytes freed."""
        freed = 0
        with writing(self.index, self.index_path):
            oldest = self.index.execute("SELECT key FROM cache WHERE ready = 1 ORDER BY used").fetchall()
            for (key,) in oldest:
                if self.size() <= largest:
                    break
                freed += self._drop(key)
        return freed

    def _path(self, key: str) -> Path:
        if len(key) != 64 or set(key) - set("0123456789abcdef"):
            raise InputError(f"{key!r} is not a cache key", do="make it with cache_key(settings)")
        return self.folder / key[:2] / key

    def _ready(self, key: str) -> str | None:
        found = self.index.execute("SELECT digest FROM cache WHERE key = ? AND ready = 1", (key,)).fetchone()
        return str(found[0]) if found else None

    def _digest(self, key: str) -> str:
        path = self._path(key)
        return _content(path) if path.is_dir() else ""

    def _tag(self, key: str, request: str | None) -> None:
        if request is not None:
            self.index.execute("INSERT OR IGNORE INTO cache_requests VALUES (?, ?)", (key, request))

    def _announce(self, key: str, request: str | None) -> Path:
        path = self._path(key)
        with writing(self.index, self.index_path):
            self.index.execute("INSERT OR IGNORE INTO cache (key, used) VALUES (?, ?)", (key, time.time()))
            self._tag(key, request)
        make_directory(path.parent)
        return path.parent / f"{PARTIAL}{key}.{secrets.token_hex(4)}"

    def _publish(self, key: str, partial: Path) -> None:
        sync_tree(partial)
        path, whole = self._path(key), (_content(partial), size_of(partial), time.time(), key)
        with writing(self.index, self.index_path):
            remove(path)
            partial.replace(path)
            sync_directory(path.parent)
            self.index.execute("UPDATE cache SET ready = 1, digest = ?, size = ?, used = ? WHERE key = ?", whole)

    def _withdraw(self, key: str, partial: Path) -> None:
        """Remove what a failed put left; another process may be writing the same entry, so only that."""
        remove(partial)
        with writing(self.index, self.index_path):
            if self._ready(key) is None:
                remove(self._path(key))
            if not self._partials(key):
                self.index.execute("DELETE FROM cache WHERE key = ? AND ready = 0", (key,))

    def _partials(self, key: str) -> list[Path]:
        folder = self._path(key).parent
        return sorted(folder.glob(f"{PARTIAL}{key}.*")) if folder.is_dir() else []

    def _drop(self, key: str) -> int:
        """Remove an entry's files, then its row: killed in between, the row still leads to what is left."""
        freed = sum(remove(item) for item in (self._path(key), *self._partials(key)))
        self.index.execute("DELETE FROM cache WHERE key = ?", (key,))
        return freed


def _content(directory: Path) -> str:
    return sha256(canonical_json(directory_digests(directory)))
