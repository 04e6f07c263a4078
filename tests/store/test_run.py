"""Pieces of a run, its lock, and SIGKILL at random moments."""

from __future__ import annotations

import errno
import os
import random
import select
import signal
import time
from pathlib import Path

import pytest

from expunge.facts.errors import InputError, Locked, VerificationFailed
from expunge.facts.rows import Rows
from expunge.store.store import Store

KILLS = 30


def test_pieces_come_back_and_are_finished_once(store: Store) -> None:
    """Fails if a piece changes, may be replaced, or counts as there before it is finished."""
    with store.run("run-1", "req") as run:
        assert not run.has("scores")
        with pytest.raises(InputError, match="has not finished 'scores'"):
            run.piece("scores")
        run.finish("scores", b"12")
        run.finish("scores", b"12")
        with pytest.raises(InputError, match="finished already"):
            run.finish("scores", b"13")
        with run.finishing("model") as folder:
            (folder / "w").write_bytes(b"345")
        with pytest.raises(InputError, match="finished already"), run.finishing("model"):
            pass
        with pytest.raises(InputError, match="cannot name a piece"):
            run.finish("../x", b"")
    with store.run("run-1", "req") as again:
        assert again.finished() == ("model", "scores")
        assert again.piece("scores") == b"12"
        assert (again.directory("model") / "w").read_bytes() == b"345"
        with pytest.raises(InputError, match="is a directory"):
            again.piece("model")
        with pytest.raises(InputError, match="is a file"):
            again.directory("scores")


def test_a_piece_without_its_mark_does_not_exist_and_is_done_again(store: Store) -> None:
    """Fails if the mark is written before the piece, or a leftover directory stops the resumed run."""
    with store.run("run-1", "req") as run:
        pieces = run.folder / "pieces"
        pieces.mkdir()
        (pieces / "scores").write_bytes(b"half")
        (pieces / "model").mkdir()
        (pieces / "model" / "old").write_bytes(b"half")
        assert run.finished() == ()
        run.finish("scores", b"whole")
        with run.finishing("model") as folder:
            (folder / "new").write_bytes(b"whole")
        assert run.piece("scores") == b"whole"
        assert [path.name for path in run.directory("model").iterdir()] == ["new"]


class Killed(BaseException):
    """What SIGKILL looks like to the code: nothing after it runs."""


def test_a_kill_between_piece_and_mark_costs_the_piece(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if the mark is written before the piece is on disk: the piece would count as finished and be missing."""
    written: list[str] = []

    def kill_after(path: Path, data: bytes, **_: object) -> None:
        written.append(f"{path.parent.name}/{path.name}")
        raise Killed

    def model() -> None:
        with run.finishing("model") as folder:
            (folder / "w").write_bytes(b"345")

    with store.run("run-1", "req") as run:
        monkeypatch.setattr("expunge.store.run.write_atomic", kill_after)
        with pytest.raises(Killed):
            run.finish("scores", b"12")
        with pytest.raises(Killed):
            model()
        monkeypatch.undo()
        assert written == ["pieces/scores", "finished/model"]
        assert (run.folder / "pieces" / "model" / "w").read_bytes() == b"345"
        assert run.finished() == ()
        run.finish("scores", b"12")
        model()
        assert run.finished() == ("model", "scores")


@pytest.mark.parametrize("name", ["scores", "model"])
def test_a_changed_piece_is_refused_and_set_aside(store: Store, name: str) -> None:
    """Fails if a piece is trusted because its file exists."""
    with store.run("run-1", "req") as run:
        run.finish("scores", b"12")
        with run.finishing("model") as folder:
            (folder / "w").write_bytes(b"345")
        changed = run.folder / "pieces" / name
        (changed / "w" if changed.is_dir() else changed).write_bytes(b"999")
        with pytest.raises(VerificationFailed, match=f"{name!r} of run 'run-1' was changed"):
            run.piece(name) if name == "scores" else run.directory(name)
        assert not run.has(name)
        assert len(run.finished()) == 1


def test_the_plan_is_evidence_before_the_run_and_cannot_change(store: Store) -> None:
    """Fails if a run goes on under another plan (margins moved after the numbers were seen)."""
    with store.run("run-1", "req", plan=b'{"margin":0.15}'):
        pass
    assert store.verify_chain() == 2
    with store.run("run-1", "req", plan=b'{"margin":0.15}'):
        pass
    assert store.verify_chain() == 2
    with pytest.raises(InputError, match="another plan"), store.run("run-1", "req", plan=b'{"margin":0.5}'):
        pass
    with pytest.raises(InputError, match="no request 'other'"), store.run("run-2", "other"):
        pass


def test_a_second_process_is_told_who_holds_the_run(store: Store) -> None:
    """Fails if the lock is not exclusive, the holder is not named, or it outlives its holder."""
    with store.run("run-1", "req"):
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                with Store.open(store.folder) as other, other.run("run-1", "req"):
                    os.write(write, b"no lock")
            except Locked as locked:
                os.write(write, str(locked).encode())
            finally:
                os._exit(0)
        os.close(write)
        os.waitpid(child, 0)
        said = os.read(read, 4096).decode()
        os.close(read)
        assert f"in use by process {os.getpid()}" in said
        with store.run("run-2", "req"):
            pass
    with store.run("run-1", "req"):
        pass


def test_a_full_disk_leaves_no_piece(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if the mark or the piece is there after the disk filled up."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with store.run("run-1", "req") as run:
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(InputError, match="the disk is full"):
            run.finish("scores", b"12345")
        with pytest.raises(InputError, match="the disk is full"), run.finishing("model") as folder:
            (folder / "w").write_bytes(b"345")
        with pytest.raises(InputError, match="the disk is full"):
            store.append("record", b"x", request="req", run="run-1")
        monkeypatch.undo()
        assert run.finished() == ()
        files = {path.name for path in store.folder.rglob("*") if path.is_file()}
        assert not [name for name in files if name.startswith(".partial") or name in ("scores", "w")]
    assert store.verify_chain() == 2


def work_until_killed(folder: Path, rows: Rows, pipe: int) -> None:
    """Open the store, go on with the run where it stopped, and tell the parent each thing that was finished."""
    with Store.open(folder) as store:
        store.open_request("req", rows)
        with store.run("run-1", "req") as run:
            for number in range(100_000):
                name = f"piece-{number:05d}"
                if run.has(f"end-{number:05d}"):
                    continue
                run.finish(name, content(number))
                store.append("piece", name.encode(), request="req", run="run-1")
                store.cache.put(f"{number:064x}", content(number), request="req")
                if number % 4 == 0 and not run.has(f"model-{number:05d}"):
                    with run.finishing(f"model-{number:05d}") as model:
                        (model / "w").write_bytes(content(number))
                run.finish(f"end-{number:05d}", b"")
                os.write(pipe, f"{number}\n".encode())


def content(number: int) -> bytes:
    return b"%d " % number * 500


def test_sigkill_at_random_moments_loses_no_finished_piece(tmp_path: Path, rows: Rows) -> None:
    """Fails if a mark precedes its piece, a row its object, the index is not crash-safe, or a lock stays behind.

    Of 30 processes, ten are killed at a random moment from their first instant on (opening, migrating, committing to
    the request), twenty at a random moment after they finished something; the next one must open the store, find all
    that was announced, and go on.
    """
    folder, generator, told = tmp_path / "store", random.Random(0), -1
    silent = 0
    for kill in range(KILLS):
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read)
            try:
                work_until_killed(folder, rows, write)
            finally:
                os._exit(9)
        os.close(write)
        if kill % 3:
            assert select.select([read], [], [], 60)[0], "the child finished nothing in a minute"
        time.sleep(0.02 * generator.random() ** 2)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), f"the child ended by itself with {os.waitstatus_to_exitcode(status)}"
        said = b""
        while select.select([read], [], [], 0)[0] and (more := os.read(read, 65536)):
            said += more
        os.close(read)
        silent += not said
        told = max([told, *(int(line) for line in said.split())])
        with Store.open(folder) as store:
            store.open_request("req", rows)
            count = store.verify_chain()
            with store.run("run-1", "req") as run:
                for number in range(told + 1):
                    assert run.piece(f"piece-{number:05d}") == content(number)
                    assert store.cache.get(f"{number:064x}") == content(number)
                    if number % 4 == 0:
                        assert (run.directory(f"model-{number:05d}") / "w").read_bytes() == content(number)
            assert count >= told + 2
    assert told >= KILLS * 2 // 3 - 1
    assert silent > 0
