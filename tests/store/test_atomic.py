"""Writing whole or not at all."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from pathlib import Path

import pytest

from expunge.facts.errors import InputError
from expunge.store import atomic


def everything_under(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_the_order_is_write_sync_rename_sync_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if the file is renamed before its fsync, or the directory is not synced after the rename."""
    seen: list[str] = []
    real_sync, real_replace = os.fsync, Path.replace

    def sync(descriptor: int) -> None:
        kind = "directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        seen.append(f"sync {kind} of {os.fstat(descriptor).st_size if kind == 'file' else 0} bytes")
        real_sync(descriptor)

    def replace(self: Path, target: Path) -> Path:
        seen.append("rename")
        return real_replace(self, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", replace)
    atomic.write_atomic(tmp_path / "piece", b"12345")
    assert seen == ["sync file of 5 bytes", "rename", "sync directory of 0 bytes"]
    assert (tmp_path / "piece").read_bytes() == b"12345"


@pytest.mark.parametrize("call", ["write", "fsync", "mkdir", "replace"])
def test_a_full_disk_leaves_the_old_file_and_nothing_partial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Fails if the temporary file is not removed, or the old content is touched before the new one is whole."""
    target = tmp_path / "new" / "piece" if call == "mkdir" else tmp_path / "piece"
    if call != "mkdir":
        target.write_bytes(b"old")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    class FullStream:
        def __init__(self, descriptor: int, _mode: str) -> None:
            self.descriptor = descriptor

        def __enter__(self) -> FullStream:
            return self

        def __exit__(self, *_: object) -> None:
            os.close(self.descriptor)

        def write(self, data: bytes) -> None:
            os.write(self.descriptor, data[:2])
            full()

    if call == "write":
        monkeypatch.setattr(os, "fdopen", FullStream)
    elif call == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        monkeypatch.setattr(Path, call, full)
    with pytest.raises(InputError) as caught:
        atomic.write_atomic(target, b"new content")
    monkeypatch.undo()
    assert "the disk is full" in str(caught.value)
    assert "expunge purge" in str(caught.value)
    assert everything_under(tmp_path) == ([] if call == "mkdir" else ["piece"])
    assert call == "mkdir" or target.read_bytes() == b"old"


@pytest.mark.parametrize(
    "cause",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_directory_that_fails_half_way_is_not_there(tmp_path: Path, cause: Exception) -> None:
    """Fails if what was already saved of a model stays, or if only OSError is read as a full disk.

    The third message is what safetensors 0.8 raises on a full tmpfs (its own exception type, no errno).
    """

    def save() -> None:
        with atomic.new_directory(tmp_path / "model") as folder:
            (folder / "model.safetensors").write_bytes(b"half")
            raise cause

    with pytest.raises(InputError, match="the disk is full"):
        save()
    assert everything_under(tmp_path) == []


def test_other_errors_keep_their_cause(tmp_path: Path) -> None:
    """Fails if every OSError is called a full disk."""
    with pytest.raises(PermissionError), atomic.new_directory(tmp_path / "model"):
        raise PermissionError(errno.EACCES, "Permission denied")
    assert everything_under(tmp_path) == []


def test_a_full_sqlite_is_a_full_disk(tmp_path: Path) -> None:
    """Fails if SQLITE_FULL passes through as a bare sqlite3 error."""
    connection = sqlite3.connect(tmp_path / "small.sqlite")
    connection.execute("PRAGMA max_page_count = 3")
    connection.execute("CREATE TABLE t (x BLOB)")
    with pytest.raises(InputError, match="the disk is full"), atomic.disk_errors(tmp_path):
        connection.execute("INSERT INTO t VALUES (?)", (bytes(100_000),))


def test_a_directory_in_use_is_not_mixed_into(tmp_path: Path) -> None:
    """Fails if `new_directory` writes into a directory that already holds files."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "old").write_bytes(b"1")
    with pytest.raises(InputError, match="not empty"), atomic.new_directory(tmp_path / "model"):
        raise AssertionError("unreachable")
    (tmp_path / "model" / "old").unlink()
    with atomic.new_directory(tmp_path / "model") as folder:
        (folder / "a").write_bytes(b"123")
    assert everything_under(tmp_path) == ["model", "model/a"]


def test_leftovers_are_counted_and_removed(tmp_path: Path) -> None:
    """Fails if finished files are removed too, or young leftovers of a living writer are."""
    (tmp_path / "keep").write_bytes(b"1234567")
    (tmp_path / f"{atomic.PARTIAL}a").write_bytes(b"12345")
    (tmp_path / f"{atomic.PARTIAL}b" / "deep").mkdir(parents=True)
    (tmp_path / f"{atomic.PARTIAL}b" / "deep" / "x").write_bytes(b"123")
    assert atomic.remove_partials(tmp_path, older_seconds=3600) == 0
    assert atomic.remove_partials(tmp_path) == 8
    assert everything_under(tmp_path) == ["keep"]
