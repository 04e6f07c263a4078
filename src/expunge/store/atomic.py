"""Write files and directories so that a reader, a kill or a full disk never sees half of one.

The order is: a temporary name in the same directory, the bytes, fsync of the file, rename, fsync of the directory.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from expunge.facts.errors import InputError

PARTIAL = ".partial-"


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a full disk or quota into an error for a person; other errors pass unchanged."""
    try:
        yield
    except Exception as cause:
        if not _is_full(cause):
            raise
        raise InputError(
            f"the disk is full: {path} was not written, nothing partial was left",
            causes=(f"no space left on the device, or a quota is used up ({cause})",),
            do="free space (expunge purge drops the cache) or name another directory, then run again",
        ) from cause


def write_atomic(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write a file whole or not at all; the old file stays until the new one is on disk."""
    with disk_errors(path):
        make_directory(path.parent)
        partial = path.parent / f"{PARTIAL}{secrets.token_hex(8)}"
        try:
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)


@contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """Give an empty directory to fill; it takes its name only when the block ends well.

    `path` must not exist or be an empty directory: what is there is never mixed with what is new.
    """
    if path.exists() and not (path.is_dir() and next(path.iterdir(), None) is None):
        raise InputError(f"{path} exists already and is not empty", do="name a new directory or remove this one")
    with disk_errors(path):
        make_directory(path.parent)
        partial = path.parent / f"{PARTIAL}{secrets.token_hex(8)}"
        partial.mkdir()
        try:
            yield partial
            sync_tree(partial)
            partial.replace(path)
        except BaseException:
            shutil.rmtree(partial)
            raise
        sync_directory(path.parent)


def make_directory(directory: Path) -> None:
    """Make a directory and its parents, each entry flushed to disk."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        sync_directory(path.parent)


def sync_tree(directory: Path) -> None:
    """Flush every file and directory under a directory to disk."""
    for path in sorted(directory.rglob("*")):
        if path.is_dir():
            sync_directory(path)
        else:
            with path.open("rb") as stream:
                os.fsync(stream.fileno())
    sync_directory(directory)


def sync_directory(directory: Path) -> None:
    """Flush a directory's entries to disk: without it a rename may be lost when power is."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_partials(directory: Path, *, older_seconds: float = 0.0) -> int:
    """Remove what killed writers left under a directory and return the bytes freed."""
    freed, now = 0, time.time()
    for path in sorted(directory.rglob(f"{PARTIAL}*")):
        if path.exists() and now - path.stat().st_mtime >= older_seconds:
            freed += remove(path)
    return freed


def remove(path: Path) -> int:
    """Remove a file or a directory and return the bytes freed."""
    if not path.is_dir():
        size = path.stat().st_size if path.exists() else 0
        path.unlink(missing_ok=True)
        return size
    size = size_of(path)
    shutil.rmtree(path)
    return size


def size_of(directory: Path) -> int:
    """Return the bytes of all files under a directory."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def _is_full(cause: Exception) -> bool:
    """Tell a full disk by its number; safetensors and torch pass the system's words only."""
    if isinstance(cause, OSError):
        return cause.errno in (errno.ENOSPC, errno.EDQUOT)
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    return os.strerror(errno.ENOSPC) in str(cause) and not isinstance(cause, InputError)
