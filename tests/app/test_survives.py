"""`expunge run` killed at random moments: the store always opens, no finished piece is lost, the records are bit-equal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tiny_directory import Command, Done, write_plan

HELPER = Path(__file__).parent / "killed_runs.py"


def killed(work: Path, kills: int, seed: int) -> list[dict[str, Any]]:
    """Run the helper: one line an attempt, the last the result. It fails by itself where records differ or a store does not open."""
    plan = write_plan(work)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, HELPER, plan, work, str(kills), str(seed)], capture_output=True, text=True,
                          env=environment, timeout=1700)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def check(lines: list[dict[str, Any]], kills: int) -> None:
    *attempts, result = lines
    assert result["killed"] == kills
    assert result["resumed"] >= 1
    assert result["records"] == 6
    assert [one["status"] for one in attempts].count(-signal.SIGKILL) == kills
    assert not [one for one in attempts if one["lost"]]


def test_five_kills_lose_nothing(tmp_path: Path) -> None:
    """Fails if a piece is marked before it is whole, a record is chained twice, or anything of a record hangs on the kill.

    Two kills by the clock, three just before a random file operation. The resumed records equal those of an unbroken run
    in another store, bit for bit; after every kill the store opens, its chain verifies and every finished piece is read.
    """
    check(killed(tmp_path, 5, 0), 5)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_thirty_kills_lose_nothing(tmp_path: Path, seed: int) -> None:
    """Fails as the one above does, at more moments: sixty in all."""
    lines = killed(tmp_path, 30, seed)
    check(lines, 30)
    assert len({one["finished"] for one in lines[:-1]}) > 5


def test_the_records_do_not_hang_on_the_place(command: Command, finished: tuple[Path, Done], tmp_path: Path) -> None:
    """Fails if a path, a time or a salt reaches `canonical()`: two runs of one plan in two stores and folders agree on it.

    The whole record differs (time, salt), so the comparison is not of one file with itself.
    """
    from expunge.facts.digest import read_json
    from expunge.facts.record import Record

    plan = write_plan(tmp_path / "elsewhere" / "deep")
    done = command("run", plan, "--store", plan.parent / "store", "--json", "--quiet")
    assert done.code == 0, done.err
    assert str(tmp_path) not in done.out
    one, two = (
        [Record.model_validate(record).canonical() for record in read_json(text)]
        for text in (done.out, finished[1].out)
    )
    assert one == two
    assert done.out != finished[1].out
    assert len(set(one)) == 6


def test_an_interrupted_run_says_how_to_go_on(tmp_path: Path) -> None:
    """Fails if Ctrl-C ends in a traceback or in exit code 0 or 1; the lock is gone at once."""
    plan = write_plan(tmp_path)
    arguments = [
        sys.executable,
        "-m",
        "expunge.app.command",
        "run",
        str(plan),
        "--store",
        str(tmp_path / "store"),
        "--name",
        "x",
    ]
    # a shell starts what runs behind it with interrupts ignored, and a child inherits that
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env={**os.environ, "OMP_NUM_THREADS": "1"},
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))  # fmt: skip
    lock = tmp_path / "store" / "runs" / "x" / "lock"
    end = time.monotonic() + 120
    while not lock.exists() and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    # -2 where the interrupt met an import that runs code of its own: Python then leaves by the signal, which a shell also calls 130
    assert process.returncode in (130, -signal.SIGINT), said
    assert "run the same command again to go on" in said
    assert "Traceback" not in said


def test_a_finished_run_is_not_run_again(
    command: Command, finished: tuple[Path, Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails if a finished piece is computed again: no model is trained, removed from or measured the second time."""
    from expunge.pipeline import river, workshop

    folder, first = finished
    for module, names in ((river, ("fit", "verify", "guard")), (workshop, ("unlearn", "locate"))):
        for name in names:
            monkeypatch.delattr(module, name)
    second = command("run", folder / "plan.toml", "--store", folder / "store", "--name", "x", "--json", "--quiet")
    assert second.code == 0, second.err
    assert second.out == first.out
    rows = command("ledger", "show", "tiny", "--store", folder / "store").out.splitlines()
    kinds = [row.split()[2] for row in rows]
    assert kinds == ["request", "run"] + ["record"] * 6 + ["certificate"] * 4


def test_a_piece_that_was_changed_is_set_aside(command: Command, finished: tuple[Path, Done]) -> None:
    """Fails if edited weights pass for those that the run trained: it says so, and the next run makes them anew."""
    folder, first = finished
    again = ("run", folder / "plan.toml", "--store", folder / "store", "--name", "x", "--json", "--quiet")
    weights = folder / "store" / "runs" / "x" / "pieces" / "retrained-0" / "model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    done = command(*again)
    assert done.code == 1, done.out
    assert "was changed after it was finished" in done.err
    done = command(*again)
    assert done.code == 0, done.err
    assert done.out == first.out
    assert weights.read_bytes() == data
