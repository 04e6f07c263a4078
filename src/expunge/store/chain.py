"""The evidence chain: rows that each commit to the one before, so that a changed row shows."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from expunge.facts.digest import canonical_json, sha256
from expunge.facts.errors import VerificationFailed
from expunge.store.objects import Objects

COLUMNS = "number, request, run, kind, object, created, previous, hash"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One row: what kind of evidence, for which request and run, where its bytes are, and its place in the chain."""

    number: int
    request: str
    run: str | None
    kind: str
    object: str
    created: str
    previous: str
    hash: str

    def expected_hash(self) -> str:
        """Return sha256 over all other columns, the previous row's hash among them."""
        columns = [self.number, self.request, self.run, self.kind, self.object, self.created, self.previous]
        return sha256(b"expunge/evidence/v1\0" + canonical_json(columns))


def append_within(connection: sqlite3.Connection, *, request: str, run: str | None, kind: str, digest: str) -> Evidence:
    """Append one row inside a write transaction that the caller holds; its object must already be on disk."""
    last = connection.execute("SELECT number, hash FROM evidence ORDER BY number DESC LIMIT 1").fetchone()
    number, previous = (last[0] + 1, last[1]) if last else (1, "")
    created = datetime.now(UTC).isoformat(timespec="seconds")
    blank = Evidence(
        number=number, request=request, run=run, kind=kind, object=digest, created=created, previous=previous, hash=""
    )
    row = replace(blank, hash=blank.expected_hash())
    values = (number, request, run, kind, digest, created, previous, row.hash)
    connection.execute(f"INSERT INTO evidence ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
    return row


def rows(connection: sqlite3.Connection, where: str = "", values: tuple[str, ...] = ()) -> tuple[Evidence, ...]:
    """Return evidence rows in order."""
    found = connection.execute(f"SELECT {COLUMNS} FROM evidence {where} ORDER BY number", values)
    names = COLUMNS.split(", ")
    return tuple(Evidence(**dict(zip(names, row, strict=True))) for row in found)


def verify_chain(connection: sqlite3.Connection, objects: Objects, *, head: str = "") -> int:
    """Return the number of rows when every one of them holds, or raise naming the first broken one.

    Checks each row's number, link and hash, the bytes of its object, and that every request and run has the row that
    opened it. A chain cut short at its end is whole in itself: give a `head` kept elsewhere (certificates carry one)
    to notice that.
    """
    found = rows(connection)
    previous = ""
    for position, row in enumerate(found, start=1):
        if row.number != position:
            raise _broken(position, f"row {position} is missing, the next is {row.number}")
        if row.previous != previous:
            raise _broken(position, "it does not name the hash of the row before it")
        if row.hash != row.expected_hash():
            raise _broken(position, "its columns do not give its hash")
        try:
            objects.get(row.object)
        except VerificationFailed as cause:
            raise _broken(position, cause.what) from cause
        previous = row.hash
    opened = {(row.kind, row.request, row.run) for row in found}
    for (request,) in connection.execute("SELECT id FROM requests ORDER BY id"):
        if ("request", request, None) not in opened:
            raise VerificationFailed(f"the request {request!r} stands in the index without evidence")
    for run, request in connection.execute("SELECT id, request FROM runs ORDER BY id"):
        if ("run", request, run) not in opened:
            raise VerificationFailed(f"the run {run!r} stands in the index without evidence")
    if head and head not in {row.hash for row in found}:
        raise VerificationFailed(
            f"the chain does not hold the row {head[:16]} that was its head before",
            causes=("evidence was cut off or written anew since",),
        )
    return len(found)


def _broken(number: int, why: str) -> VerificationFailed:
    return VerificationFailed(
        f"the evidence chain is broken at row {number}: {why}",
        causes=("the store was edited outside expunge", "the disk lost data"),
        do="restore the store from a backup; rows before this one hold",
    )
