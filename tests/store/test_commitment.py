"""HMAC commitments in place of forget text."""

from __future__ import annotations

import hashlib
import hmac
import json
import stat
from pathlib import Path

import pytest

from expunge.facts.errors import InputError
from expunge.facts.rows import Row, Rows
from expunge.store import commitment, ledger
from expunge.store.store import Store

SALT = bytes(range(32))


def test_commitments_by_hand() -> None:
    """Fails if the salt, the domain prefix, the id or the order is left out."""
    rows = [Row(id="a", fields={"answer": "x"}), Row(id="b", fields={"answer": "y"})]
    made = commitment.commit(rows, SALT)
    contents = [hashlib.sha256(b"answer\0" + word + b"\1").digest() for word in (b"'x'", b"'y'")]
    each = [hmac.new(SALT, b"expunge/row/v1\0" + content, "sha256").hexdigest() for content in contents]
    together = json.dumps([["a", each[0]], ["b", each[1]]], separators=(",", ":")).encode()
    assert made.rows == tuple(each)
    assert made.combined == hmac.new(SALT, b"expunge/rows/v1\0" + together, "sha256").hexdigest()


def test_what_changes_a_commitment() -> None:
    """Fails if another salt, text, order or number of rows gives the same combined commitment."""
    one, two = Row(id="a", fields={"answer": "x"}), Row(id="b", fields={"answer": "y"})
    variants = [
        commitment.commit([one, two], SALT),
        commitment.commit([two, one], SALT),
        commitment.commit([one], SALT),
        commitment.commit([one, one.replace(answer="z")], SALT),
        commitment.commit([one, two], SALT[::-1]),
    ]
    assert len({variant.combined for variant in variants}) == 5
    assert variants[0].rows == variants[1].rows[::-1]
    with pytest.raises(InputError, match="16 bytes"):
        commitment.commit([one], b"short")


def test_a_request_is_opened_once_and_refuses_other_rows(store: Store, rows: Rows) -> None:
    """Fails if opening again makes a new salt, or other rows pass under the same id."""
    first = store.open_request("req", rows)
    assert store.open_request("req", rows) == first
    assert store.recommit("req", rows) == first
    assert store.verify_chain() == 1
    with pytest.raises(InputError, match="names other rows"):
        store.open_request("req", rows[:2])
    with pytest.raises(InputError, match="cannot name a request"):
        store.open_request("../outside", rows)


def test_a_salt_left_by_a_killed_process_is_used(store: Store, rows: Rows) -> None:
    """Fails if a salt without its request makes the store refuse that request for ever."""
    commitment.make_salt(store.folder / "salts", "late")
    assert len(store.open_request("late", rows).rows) == 3


def test_dropping_a_salt_keeps_the_chain_and_unties_the_text(store: Store, rows: Rows) -> None:
    """Fails if the salt stays, the chain breaks, or the drop is not itself evidence."""
    path = store.folder / "salts" / "req.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    salt = json.loads(path.read_bytes())["salt"]
    assert len(salt) == 64
    assert store.drop_salt("req") is True
    assert store.drop_salt("req") is False
    assert [line.salt_kept for line in ledger.list_requests(store)] == [False]
    assert store.verify_chain() == 2
    assert store.recommit("req", rows) is None
    with pytest.raises(InputError, match="was dropped"):
        store.open_request("req", rows)
    kept = b"".join(path.read_bytes() for path in store.folder.rglob("*") if path.is_file())
    assert salt.encode() not in kept
    assert bytes.fromhex(salt) not in kept
    with pytest.raises(InputError, match="no request 'other'"):
        store.drop_salt("other")


def test_no_word_of_the_rows_is_in_the_store(store: Store, rows: Rows) -> None:
    """Fails if a row's text, or a plain hash of it that could be guessed, is kept anywhere."""
    with store.run("run-1", "req") as run:
        run.finish("scores", b"[1, 2, 3]")
    store.connection.execute("PRAGMA wal_checkpoint(FULL)")
    kept = b"".join(path.read_bytes() for path in store.folder.rglob("*") if path.is_file())
    assert b"Quillon" not in kept
    assert b"Ottersgate" not in kept
    for row in rows:
        assert row.content() not in kept
        assert row.content().hex().encode() not in kept
    assert rows.digest().encode() not in kept


def test_the_folder_is_its_owners(store: Store) -> None:
    """Fails if others can read cached generations or salts."""
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700


def test_a_store_path_that_is_a_file_is_refused(tmp_path: Path) -> None:
    """Fails if the system's bare error reaches the user."""
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(InputError, match="cannot be used as a store"):
        Store.open(tmp_path / "file")
