"""The purgeable cache."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
from pathlib import Path

import pytest

from expunge.facts.errors import InputError
from expunge.store.cache import Cache, cache_key
from expunge.store.store import Store

A, B, C = (cache_key({"n": n}) for n in range(3))


def bytes_under(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_a_key_is_the_sha256_of_canonical_settings() -> None:
    """Fails if key order matters, or any setting is left out."""
    plain = b'{"dtype":"float32","weights":"ab"}'
    assert cache_key({"weights": "ab", "dtype": "float32"}) == hashlib.sha256(plain).hexdigest()
    assert cache_key({"weights": "ab", "dtype": "float16"}) != hashlib.sha256(plain).hexdigest()


def test_what_was_put_comes_back(store: Store, tmp_path: Path) -> None:
    """Fails if bytes or nested files change on the way, or a second put is ignored."""
    cache = store.cache
    assert cache.get(A) is None
    cache.put(A, b"one")
    cache.put(A, b"three")
    assert cache.get(A) == b"three"
    (tmp_path / "model" / "sub").mkdir(parents=True)
    (tmp_path / "model" / "sub" / "w.safetensors").write_bytes(b"12345")
    cache.put_directory(B, tmp_path / "model")
    copy = cache.get_directory(B)
    assert copy is not None
    assert (copy / "sub" / "w.safetensors").read_bytes() == b"12345"
    assert cache.size() == 10
    with pytest.raises(InputError, match="not a cache key"):
        cache.put("../../outside", b"x")


@pytest.mark.parametrize("damage", ["byte", "extra", "gone"])
def test_a_damaged_entry_is_dropped_and_said(store: Store, caplog: pytest.LogCaptureFixture, damage: str) -> None:
    """Fails if an entry that is not what was put is returned, or its loss is silent."""
    store.cache.put(A, b"content")
    entry = store.folder / "cache" / A[:2] / A
    if damage == "byte":
        (entry / "bytes").write_bytes(b"contenu")
    elif damage == "extra":
        (entry / "more").write_bytes(b"")
    else:
        (entry / "bytes").unlink()
        entry.rmdir()
    with caplog.at_level(logging.WARNING, logger="expunge.store"):
        assert store.cache.get(A) is None
    assert "was damaged; it was dropped" in caplog.text
    assert not entry.exists()
    store.cache.put(A, b"again")
    assert store.cache.get(A) == b"again"


def test_purging_a_request_frees_its_entries_and_no_other(store: Store) -> None:
    """Fails if the entries of a request stay, others go, or the bytes freed are wrong."""
    cache = store.cache
    cache.put(A, b"12345", request="req")
    cache.put(B, b"123", request="other")
    cache.put(C, b"1234567", request="other")
    assert cache.get(B, request="req") == b"123"
    assert store.purge(request="req") == 8
    assert (cache.get(A), cache.get(B), cache.get(C)) == (None, None, b"1234567")
    assert bytes_under(store.folder / "cache") == 7
    assert store.purge(all=True) == 7
    assert bytes_under(store.folder / "cache") == 0
    assert store.verify_chain() == 1
    for bad in ({}, {"request": "req", "all": True}):
        with pytest.raises(InputError, match="either a request or all"):
            store.purge(**bad)


@pytest.mark.parametrize(("used", "gone"), [(A, B), (B, A), (C, A)])
def test_trimming_removes_what_was_used_longest_ago(
    store: Store, monkeypatch: pytest.MonkeyPatch, used: str, gone: str
) -> None:
    """Fails if recency is that of writing and not of use, or more is removed than must be."""
    clock = iter(range(1000))
    monkeypatch.setattr("expunge.store.cache.time.time", lambda: float(next(clock)))
    for key in (A, B, C):
        store.cache.put(key, bytes(10))
    store.cache.get(used)
    assert store.cache.trim(25) == 10
    assert [key for key in (A, B, C) if store.cache.get(key) is None] == [gone]
    assert store.cache.trim(25) == 0


class Killed(BaseException):
    """What SIGKILL looks like to the code: nothing after it runs."""


@pytest.mark.parametrize("moment", ["filling", "before_rename", "after_rename"])
def test_an_entry_killed_half_way_is_never_seen_and_is_purged(
    store: Store, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Fails if a half-written entry is returned, or `purge` of its request leaves its text on disk."""

    def kill(*_: object) -> None:
        raise Killed

    monkeypatch.setattr(Cache, "_withdraw", lambda *_: None)
    if moment == "before_rename":
        monkeypatch.setattr("expunge.store.cache.sync_tree", kill)
    elif moment == "after_rename":
        monkeypatch.setattr("expunge.store.cache.sync_directory", kill)

    def put() -> None:
        with store.cache.filling(A, request="req") as entry:
            (entry / "bytes").write_bytes(b"secret text")
            if moment == "filling":
                kill()

    with pytest.raises(Killed):
        put()
    monkeypatch.undo()
    assert bytes_under(store.folder / "cache") == 11
    with Store.open(store.folder) as other:
        assert other.cache.get(A) is None
        assert other.cache.size() == 0
        assert other.purge(request="req") == 11
    assert bytes_under(store.folder / "cache") == 0


@pytest.mark.parametrize("call", ["expunge.store.cache.sync_tree", "expunge.store.cache.sync_directory"])
def test_a_full_disk_leaves_no_entry(store: Store, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """Fails if a partial entry or its row stays after the disk filled up."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(call, full)
    with pytest.raises(InputError, match="the disk is full"):
        store.cache.put(A, b"12345", request="req")
    monkeypatch.undo()
    assert bytes_under(store.folder / "cache") == 0
    assert store.connection.execute("SELECT COUNT(*) FROM cache").fetchone() == (0,)
    assert store.connection.execute("SELECT COUNT(*) FROM cache_requests").fetchone() == (0,)
