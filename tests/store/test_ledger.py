"""What the ledger lists, shows and exports."""

from __future__ import annotations

import hashlib
import json

import pytest

from expunge.facts.errors import InputError
from expunge.facts.rows import Rows
from expunge.store import ledger
from expunge.store.store import Store


def test_requests_with_their_runs_are_listed_in_order(store: Store, rows: Rows) -> None:
    """Fails if a run is listed under another request, or the count of rows is not the request's."""
    store.open_request("a-later-one", rows[:1], kind="erasure")
    for run, request in (("run-1", "req"), ("run-2", "a-later-one"), ("run-3", "req")):
        with store.run(run, request):
            pass
    lines = ledger.list_requests(store)
    assert [(line.id, line.kind, line.n, line.runs) for line in lines] == [
        ("req", "forget", 3, ("run-1", "run-3")),
        ("a-later-one", "erasure", 1, ("run-2",)),
    ]


def test_one_run_or_request_is_shown_with_its_bytes(store: Store, rows: Rows) -> None:
    """Fails if evidence of another run is mixed in, or an unknown name does not say the nearest."""
    with store.run("run-1", "req", plan=b'{"seed":1}'):
        store.append("record", b"first", request="req", run="run-1")
    with store.run("run-2", "req"):
        store.append("record", b"second", request="req", run="run-2")
    assert [(row.kind, data) for row, data in ledger.show(store, "run-1")] == [
        ("run", b'{"seed":1}'),
        ("record", b"first"),
    ]
    assert [row.number for row, _ in ledger.show(store, "req")] == [1, 2, 3, 4, 5]
    with pytest.raises(InputError, match="ledger show run-"):
        ledger.show(store, "runn-2")


def test_an_export_can_be_checked_without_sqlite(store: Store) -> None:
    """Fails if the export leaves out a column of the hash or changes an object's bytes."""
    store.append("certificate", b"\xff raw", request="req")
    previous = ""
    lines = [json.loads(line) for line in ledger.export(store).splitlines()]
    for line in lines:
        inside = line["content"]
        plain = json.dumps(inside["json"], sort_keys=True, separators=(",", ":")).encode() if "json" in inside else None
        data = plain if plain is not None else bytes.fromhex(inside["hex"])
        assert hashlib.sha256(data).hexdigest() == line["object"]
        columns = [line[name] for name in ("number", "request", "run", "kind", "object", "created", "previous")]
        assert line["previous"] == previous
        previous = hashlib.sha256(
            b"expunge/evidence/v1\0" + json.dumps(columns, separators=(",", ":")).encode()
        ).hexdigest()
        assert line["hash"] == previous
    assert [line["kind"] for line in lines] == ["request", "certificate"]
