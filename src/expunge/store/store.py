"""The store: evidence kept for good, a cache that is not, and what commits to what was forgotten."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from expunge.facts.digest import canonical_json, read_json
from expunge.facts.errors import InputError
from expunge.facts.rows import Row
from expunge.store import chain
from expunge.store.atomic import disk_errors, make_directory, remove_partials
from expunge.store.cache import Cache
from expunge.store.commitment import Commitment, commit, make_salt, read_salt, remove_salt
from expunge.store.index import connect, migrate, writing
from expunge.store.lock import locked
from expunge.store.names import safe_name
from expunge.store.objects import Objects
from expunge.store.run import Run, hold

DAY = 86400.0


@dataclass(frozen=True, kw_only=True)
class Store:
    """A directory: `index.sqlite`, `objects/`, `runs/`, `salts/`, `cache/`. Use it as a context manager.

    Evidence is append-only and never holds forget text, only HMACs of it. The salts that tie the HMACs to the text
    lie apart and can be dropped; the cache may hold text and can be purged. Neither breaks the chain.
    """

    folder: Path
    connection: sqlite3.Connection
    objects: Objects
    cache: Cache

    @classmethod
    def open(cls, folder: Path) -> Store:
        """Open a store, making or migrating it when needed; readable by its owner only."""
        index = folder / "index.sqlite"
        try:
            with disk_errors(folder):
                if not folder.exists():
                    make_directory(folder)
                    folder.chmod(0o700)
                with locked(folder / "open.lock", wait=True):
                    connection = connect(index)
                    migrate(connection, index)
        except OSError as cause:
            raise InputError(
                f"{folder} cannot be used as a store", causes=(str(cause),), do="name another directory with --store"
            ) from cause
        return cls(
            folder=folder,
            connection=connection,
            objects=Objects(folder=folder / "objects"),
            cache=Cache(folder=folder / "cache", index=connection, index_path=index),
        )

    def close(self) -> None:
        """Close the index."""
        self.connection.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open_request(self, request: str, rows: Iterable[Row], *, kind: str = "forget") -> Commitment:
        """Return the commitment to the rows of a request, making the request the first time.

        Asked again with the same rows it answers the same; with other rows, or after its salt was dropped, it refuses.
        """
        safe_name(request, "request")
        with locked(self.folder / "open.lock", wait=True):
            salt = read_salt(self._salts, request)
            known = self._opened(request)
            if known is not None and salt is None:
                raise InputError(f"the salt of request {request!r} was dropped", do="open a new request")
            made = commit(rows, salt or make_salt(self._salts, request))
            if known is not None and known["combined"] != made.combined:
                raise InputError(f"the request {request!r} names other rows", do="open a new request for these rows")
            if known is None:
                body = {"kind": kind, "n": len(made.rows), "rows": made.rows, "combined": made.combined}
                digest = self.objects.put(canonical_json(body))
                with writing(self.connection, self.folder):
                    self.connection.execute("INSERT INTO requests VALUES (?, ?)", (request, _now()))
                    chain.append_within(self.connection, request=request, run=None, kind="request", digest=digest)
        return made

    @contextmanager
    def run(self, run: str, request: str, *, plan: bytes = b"{}") -> Iterator[Run]:
        """Hold a run of a request, making it the first time and resuming it after; `plan` is evidence of its start.

        The plan is chained before anything is measured: margins fixed before the run are shown to be so by its row.
        """
        safe_name(run, "run")
        opened = Run(id=run, request=request, folder=self.folder / "runs" / run)
        with hold(opened):
            if self._opened(request) is None:
                raise InputError(f"the store holds no request {request!r}", do="open the request first")
            found = self.connection.execute("SELECT request FROM runs WHERE id = ?", (run,)).fetchone()
            digest = self.objects.put(plan)
            if found is None:
                with writing(self.connection, self.folder):
                    self.connection.execute("INSERT INTO runs VALUES (?, ?, ?)", (run, request, _now()))
                    chain.append_within(self.connection, request=request, run=run, kind="run", digest=digest)
            else:
                (row,) = chain.rows(self.connection, "WHERE kind = 'run' AND run = ?", (run,))
                if (row.request, row.object) != (request, digest):
                    raise InputError(f"the run {run!r} was started with another plan", do="start a new run")
            yield opened

    def append(self, kind: str, data: bytes, *, request: str, run: str | None = None) -> chain.Evidence:
        """Keep bytes as evidence (a record, a certificate) and chain a row to it."""
        digest = self.objects.put(data)
        with writing(self.connection, self.folder):
            return chain.append_within(self.connection, request=request, run=run, kind=kind, digest=digest)

    def head(self) -> str:
        """Return the hash of the newest evidence row: a certificate carries it."""
        found = chain.rows(self.connection, "WHERE number = (SELECT MAX(number) FROM evidence)")
        return found[0].hash if found else ""

    def verify_chain(self, *, head: str = "") -> int:
        """Return the number of evidence rows when all hold, or raise naming the first broken one."""
        return chain.verify_chain(self.connection, self.objects, head=head)

    def recommit(self, request: str, rows: Iterable[Row]) -> Commitment | None:
        """Return the commitment that these rows would have under a request's salt, or None once it was dropped.

        Equal to what evidence holds exactly when the rows are those of the request.
        """
        salt = read_salt(self._salts, safe_name(request, "request"))
        return commit(rows, salt) if salt is not None else None

    def drop_salt(self, request: str) -> bool:
        """Remove a request's salt, so that its HMACs say nothing any more; return whether there was one."""
        if self._opened(safe_name(request, "request")) is None:
            raise InputError(f"the store holds no request {request!r}", do="expunge ledger list")
        with locked(self.folder / "open.lock", wait=True):
            removed = remove_salt(self._salts, request)
            if not chain.rows(self.connection, "WHERE kind = 'salt_dropped' AND request = ?", (request,)):
                self.append("salt_dropped", canonical_json({"request": request}), request=request)
        return removed

    def purge(self, *, request: str | None = None, all: bool = False) -> int:
        """Empty the cache, or what a request left in it, and return the bytes freed; evidence stays."""
        freed = self.cache.purge(request=request, all=all)
        return freed + remove_partials(self.folder / "objects", older_seconds=DAY)

    @property
    def _salts(self) -> Path:
        return self.folder / "salts"

    def _opened(self, request: str) -> dict[str, object] | None:
        found = chain.rows(self.connection, "WHERE kind = 'request' AND request = ?", (request,))
        return dict(read_json(self.objects.get(found[0].object))) if found else None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
