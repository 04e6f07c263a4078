"""Numbered migrations and the SQLite settings."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from expunge.facts.errors import InputError
from expunge.store.index import connect, migrate, migrations


def test_the_index_is_opened_for_crash_safety(tmp_path: Path) -> None:
    """Fails if WAL, full sync, foreign keys or the busy timeout is left at SQLite's default."""
    connection = connect(tmp_path / "index.sqlite")
    settings = {
        name: connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
    }
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}


def test_migrations_ship_in_order_and_run_once(tmp_path: Path) -> None:
    """Fails if a migration is skipped, run twice, or its number not kept."""
    connection = connect(tmp_path / "index.sqlite")
    assert migrate(connection, tmp_path) == len(migrations()) == 2
    assert migrate(connection, tmp_path) == 2
    assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert tables == {"requests", "runs", "evidence", "cache", "cache_requests"}


def test_an_old_store_gets_only_what_it_lacks_and_keeps_its_rows(tmp_path: Path) -> None:
    """Fails if migrating starts again at number one (the table would exist already)."""
    connection = connect(tmp_path / "index.sqlite")
    first = "CREATE TABLE a (x);"
    assert migrate(connection, tmp_path, (first,)) == 1
    connection.execute("INSERT INTO a VALUES (7)")
    assert migrate(connection, tmp_path, (first, "ALTER TABLE a ADD COLUMN y DEFAULT 8;")) == 2
    assert connection.execute("SELECT x, y FROM a").fetchall() == [(7, 8)]


def test_a_migration_that_fails_leaves_nothing_of_itself(tmp_path: Path) -> None:
    """Fails if statements of one migration are committed one by one."""
    connection = connect(tmp_path / "index.sqlite")
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, tmp_path, ("CREATE TABLE a (x);", "CREATE TABLE b (x);\nCREATE TABLE a (x);"))
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert tables == {"a"}


def test_a_newer_store_is_refused(tmp_path: Path) -> None:
    """Fails if a schema that this version does not know is opened all the same."""
    connection = connect(tmp_path / "index.sqlite")
    connection.execute("PRAGMA user_version = 99")
    with pytest.raises(InputError, match="schema 99, this one knows 2"):
        migrate(connection, tmp_path)


def test_a_file_that_is_no_database_is_refused_with_its_cause(tmp_path: Path) -> None:
    """Fails if sqlite3's own error reaches the user, or the file is overwritten."""
    (tmp_path / "index.sqlite").write_bytes(b"not a database at all" * 100)
    with pytest.raises(InputError, match="file is not a database"):
        connect(tmp_path / "index.sqlite")
    assert (tmp_path / "index.sqlite").read_bytes() == b"not a database at all" * 100
