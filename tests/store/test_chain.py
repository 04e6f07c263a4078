"""The evidence chain: append-only, and every change shows."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from pathlib import Path

import pytest

from expunge.facts.errors import VerificationFailed
from expunge.store.store import Store

FORBIDDEN = [
    ("UPDATE evidence SET kind = 'x' WHERE number = 1", "append-only"),
    ("DELETE FROM evidence WHERE number = 3", "append-only"),
    (
        "INSERT OR REPLACE INTO evidence"
        " SELECT number, request, run, 'x', object, created, previous, hash FROM evidence WHERE number = 4",
        "end of its chain",
    ),
    (
        "INSERT INTO evidence SELECT 5, request, run, kind, object, created, previous, hash FROM evidence"
        " WHERE number = 1",
        "end of its chain",
    ),
    (
        "INSERT INTO evidence SELECT 9, request, run, kind, object, created, hash, 'x' FROM evidence WHERE number = 4",
        "end of its chain",
    ),
    ("UPDATE requests SET created = 'x'", "append-only"),
    ("DELETE FROM requests", "append-only"),
    ("INSERT OR REPLACE INTO requests VALUES ('req', 'x')", "append-only"),
    ("UPDATE runs SET created = 'x'", "append-only"),
    ("DELETE FROM runs", "append-only"),
    ("INSERT OR REPLACE INTO runs VALUES ('run-1', 'req', 'x')", "append-only"),
    ("INSERT INTO runs VALUES ('other', 'no such request', 'x')", "FOREIGN KEY"),
]


@pytest.fixture
def chained(store: Store) -> Store:
    """Rows 1 request, 2 run, 3 record, 4 certificate."""
    with store.run("run-1", "req"):
        store.append("record", b"one", request="req", run="run-1")
        store.append("certificate", b"two", request="req", run="run-1")
    return store


def edit(store: Store, *statements: str) -> None:
    """Edit as someone who owns the file would: triggers and foreign keys off."""
    outside = sqlite3.connect(store.folder / "index.sqlite", isolation_level=None)
    for (name,) in outside.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        outside.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        outside.execute(statement)
    outside.close()


def test_each_hash_is_the_sha256_of_the_row_and_the_hash_before(chained: Store) -> None:
    """Fails if any column is left out of the hash, or the order of columns changes."""
    columns = "number, request, run, kind, object, created, previous, hash"
    found = chained.connection.execute(f"SELECT {columns} FROM evidence ORDER BY number").fetchall()
    assert [row[3] for row in found] == ["request", "run", "record", "certificate"]
    assert found[2][4] == hashlib.sha256(b"one").hexdigest()
    previous = ""
    for *covered, stated in found:
        assert covered[6] == previous
        plain = json.dumps(covered, separators=(",", ":")).encode()
        assert stated == hashlib.sha256(b"expunge/evidence/v1\0" + plain).hexdigest()
        previous = stated
    assert chained.head() == previous
    assert chained.verify_chain() == 4


@pytest.mark.parametrize(("statement", "words"), FORBIDDEN)
def test_sql_that_would_change_evidence_is_refused(chained: Store, statement: str, words: str) -> None:
    """Fails if a trigger is missing; REPLACE deletes rows without firing delete triggers, so it is tried too."""
    before = chained.connection.execute("SELECT * FROM evidence").fetchall()
    with pytest.raises(sqlite3.IntegrityError, match=words):
        chained.connection.execute(statement)
    assert chained.connection.execute("SELECT * FROM evidence").fetchall() == before
    assert chained.verify_chain() == 4


@pytest.mark.parametrize(
    ("statements", "words"),
    [
        (("UPDATE evidence SET kind = 'x' WHERE number = 2",), "2: its columns"),
        (("UPDATE evidence SET created = '2020' WHERE number = 1",), "1: its columns"),
        (("UPDATE evidence SET run = NULL WHERE number = 3",), "3: its columns"),
        (("UPDATE evidence SET request = 'other' WHERE number = 4",), "4: its columns"),
        (
            ("UPDATE evidence SET object = (SELECT object FROM evidence WHERE number = 4) WHERE number = 3",),
            "3: its columns",
        ),
        (("DELETE FROM evidence WHERE number = 2",), "2: row 2 is missing, the next is 3"),
        (("DELETE FROM evidence WHERE number = 1",), "1: row 1 is missing"),
        (
            ("DELETE FROM evidence WHERE number = 3", "UPDATE evidence SET number = 3 WHERE number = 4"),
            "3: it does not",
        ),
        (
            (
                "UPDATE evidence SET number = 9 WHERE number = 3",
                "UPDATE evidence SET number = 3 WHERE number = 4",
                "UPDATE evidence SET number = 4 WHERE number = 9",
            ),
            "3: it does not",
        ),
    ],
)
def test_the_first_broken_row_is_named(chained: Store, statements: tuple[str, ...], words: str) -> None:
    """Fails if a column is not covered by the hash, or links between rows are not checked."""
    edit(chained, *statements)
    with pytest.raises(VerificationFailed, match=f"broken at row {words}"):
        chained.verify_chain()


def test_a_row_rehashed_after_an_edit_breaks_the_next_link(chained: Store) -> None:
    """Fails if `previous` is not compared with the row before."""
    found = chained.connection.execute(
        "SELECT number, request, run, kind, object, created, previous FROM evidence WHERE number = 2"
    ).fetchone()
    changed = [*found[:5], "2020-01-01", found[6]]
    plain = json.dumps(changed, separators=(",", ":")).encode()
    digest = hashlib.sha256(b"expunge/evidence/v1\0" + plain).hexdigest()
    edit(chained, f"UPDATE evidence SET created = '2020-01-01', hash = '{digest}' WHERE number = 2")
    with pytest.raises(VerificationFailed, match="broken at row 3: it does not name the hash"):
        chained.verify_chain()


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_evidence_bytes_are_part_of_the_chain(chained: Store, damage: str) -> None:
    """Fails if only the rows are checked and not the objects they name."""
    path = chained.objects.path(hashlib.sha256(b"one").hexdigest())
    if damage == "changed":
        path.write_bytes(b"onf")
    else:
        path.unlink()
    with pytest.raises(VerificationFailed, match=f"broken at row 3: the evidence object .* {damage}"):
        chained.verify_chain()


def test_a_chain_cut_at_its_end_shows_against_a_head_kept_elsewhere(chained: Store) -> None:
    """Fails if `head` is ignored: a cut chain is whole in itself."""
    head = chained.head()
    assert chained.verify_chain(head=head) == 4
    edit(chained, "DELETE FROM evidence WHERE number = 4")
    assert chained.verify_chain() == 3
    with pytest.raises(VerificationFailed, match="does not hold the row"):
        chained.verify_chain(head=head)


def test_a_run_in_the_index_without_evidence_shows(chained: Store) -> None:
    """Fails if the tables of requests and runs are not compared with the chain."""
    edit(chained, "INSERT INTO runs VALUES ('ghost', 'req', 'x')")
    with pytest.raises(VerificationFailed, match="'ghost' stands in the index without evidence"):
        chained.verify_chain()


def test_a_row_that_cannot_be_written_leaves_the_chain_whole(chained: Store, tmp_path: Path) -> None:
    """Fails if a failed append is half committed."""
    with pytest.raises(sqlite3.IntegrityError):
        chained.append("record", b"x", request="no such request")
    assert chained.verify_chain() == 4
