"""What the store holds, as plain values for a page or a terminal."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from expunge.facts.digest import canonical_json, read_json
from expunge.facts.errors import InputError, nearest
from expunge.store import chain
from expunge.store.commitment import read_salt
from expunge.store.store import Store


@dataclass(frozen=True, kw_only=True)
class RequestLine:
    """One request: its kind, how many rows it names, its runs, and whether its salt is still kept."""

    id: str
    kind: str
    n: int
    created: str
    runs: tuple[str, ...]
    salt_kept: bool


def list_requests(store: Store) -> tuple[RequestLine, ...]:
    """Return every request in the order in which they came."""
    found = chain.rows(store.connection)
    lines = []
    for row in found:
        if row.kind == "request":
            body = read_json(store.objects.get(row.object))
            runs = tuple(item.run for item in found if item.kind == "run" and item.request == row.request and item.run)
            lines.append(
                RequestLine(
                    id=row.request,
                    kind=body["kind"],
                    n=body["n"],
                    created=row.created,
                    runs=runs,
                    salt_kept=read_salt(store.folder / "salts", row.request) is not None,
                )
            )
    return tuple(lines)


def show(store: Store, name: str) -> tuple[tuple[chain.Evidence, bytes], ...]:
    """Return the evidence of a request or of a run, each row with its bytes."""
    found = chain.rows(store.connection)
    wanted = [row for row in found if name in (row.request, row.run)]
    if not wanted:
        known = {row.request for row in found} | {row.run for row in found if row.run}
        near = nearest(name, tuple(sorted(known)))
        raise InputError(
            f"the store holds no request and no run {name!r}",
            do=f"expunge ledger show {near}" if near else "expunge ledger list",
        )
    return tuple((row, store.objects.get(row.object)) for row in wanted)


def export(store: Store) -> bytes:
    """Return the whole ledger as one JSON line a row, each with its object; an auditor needs no SQLite to check it.

    Objects that are JSON stand as JSON, others as hexadecimal bytes.
    """
    lines = []
    for row in chain.rows(store.connection):
        lines.append(canonical_json({**asdict(row), "content": _content(store.objects.get(row.object))}))
    return b"\n".join(lines) + b"\n" if lines else b""


def _content(data: bytes) -> Any:
    try:
        plain = read_json(data)
    except ValueError:
        return {"hex": data.hex()}
    return {"json": plain} if canonical_json(plain) == data else {"hex": data.hex()}
