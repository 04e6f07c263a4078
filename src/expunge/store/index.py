"""The SQLite index: how it is opened, and the numbered migrations that make its tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from expunge.facts.errors import InputError
from expunge.store.atomic import disk_errors

BUSY_SECONDS = 30.0


def connect(path: Path) -> sqlite3.Connection:
    """Open the index: write-ahead log, full fsync, foreign keys on, and wait for other writers."""
    try:
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
    except sqlite3.DatabaseError as cause:
        raise InputError(
            f"{path} cannot be opened as a store's index",
            causes=(str(cause),),
            do="name another directory with --store, or restore this one from a backup",
        ) from cause
    if mode != "wal":
        raise InputError(
            f"{path}: this file system cannot keep a write-ahead log (SQLite answers {mode!r})",
            causes=("the store lies on a network file system",),
            do="put the store on a local disk with --store",
        )
    return connection


@contextmanager
def writing(connection: sqlite3.Connection, path: Path) -> Iterator[sqlite3.Connection]:
    """Hold the one write transaction; it is rolled back whole when the block raises."""
    with disk_errors(path):
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def migrations() -> tuple[str, ...]:
    """Return the SQL of every migration in order; number n is the n-th, without gaps."""
    found = sorted(
        (item for item in files("expunge.store").joinpath("migrations").iterdir() if item.name.endswith(".sql")),
        key=lambda item: item.name,
    )
    for number, item in enumerate(found, start=1):
        if not item.name.startswith(f"{number:04d}_"):
            raise InputError(f"migration {number:04d} is missing: found {item.name}", do="install expunge again")
    return tuple(item.read_text(encoding="utf-8") for item in found)


def migrate(connection: sqlite3.Connection, path: Path, scripts: tuple[str, ...] | None = None) -> int:
    """Bring the tables to the newest number and return it; each migration is one transaction.

    The number reached is SQLite's `user_version`. A store written by a newer Expunge is refused, not guessed at.
    """
    scripts = migrations() if scripts is None else scripts
    (reached,) = connection.execute("PRAGMA user_version").fetchone()
    if reached > len(scripts):
        raise InputError(
            f"{path} was written by a newer Expunge (schema {reached}, this one knows {len(scripts)})",
            do="pip install --upgrade expunge",
        )
    for number, script in enumerate(scripts[reached:], start=reached + 1):
        with writing(connection, path):
            for statement in _statements(script):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
    return len(scripts)


def _statements(script: str) -> Iterator[str]:
    """Split a script where SQLite itself says that a statement is complete (triggers hold semicolons)."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        raise ValueError(f"a migration ends inside a statement: {statement.strip()[:60]!r}")
