"""Run a plan in child processes that are killed at random moments; a helper of the tests, run as a program of its own.

Everything is imported once here and every attempt is a fork, so that twenty kills take seconds. Half of the attempts are killed
by the clock; the other half kill themselves at a random file operation (before an open, a rename, a mkdir, a remove), so that the
moments between writing, renaming and chaining are hit too. Prints one JSON line an attempt, then one with the result.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

RUN = "killed"
EVENTS = ("open", "os.rename", "os.mkdir", "os.remove", "os.truncate")


def _child(plan: Path, store: Path, fatal: int) -> None:
    """Run the plan and leave; killed before file operation number `fatal` where that is not negative."""
    from expunge.app.command import main

    seen = 0

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        if event in EVENTS and str(store) in str(arguments[0]):
            if seen == fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            seen += 1

    sys.addaudithook(count)
    sys.argv = ["expunge", "run", str(plan), "--store", str(store), "--name", RUN, "--quiet"]
    out = os.open(store.parent / f"output-{store.name}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    code = 0
    try:
        main()
    except SystemExit as left:
        code = int(left.code or 0)
    sys.stdout.flush()
    (store.parent / f"events-{store.name}").write_text(str(seen))
    os._exit(code)


def attempt(plan: Path, store: Path, *, fatal: int = -1, seconds: float = 600.0) -> int:
    """Fork, wait at most `seconds`, kill what still runs; return the exit status, negative a signal."""
    process = os.fork()
    if process == 0:
        try:
            _child(plan, store, fatal)
        finally:
            os._exit(99)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(process, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def look(store: Path) -> dict[str, str]:
    """Open the store as the next command does, verify its chain, read every finished piece; return piece -> its mark."""
    from expunge.store.run import Run
    from expunge.store.store import Store

    if not store.exists():
        return {}
    with Store.open(store) as opened:
        opened.verify_chain()
        run = Run(id=RUN, request="", folder=store / "runs" / RUN)
        marks = {}
        for name in run.finished():
            path = run.folder / "pieces" / name
            _ = run.directory(name) if path.is_dir() else run.piece(name)
            marks[name] = (run.folder / "finished" / name).read_text()
        return marks


def canonical(store: Path) -> dict[str, str]:
    """Return the digest of every record of the run, by label, from the chained evidence; a record chained twice is an error."""
    from expunge.facts.digest import read_json
    from expunge.facts.record import Record
    from expunge.store.ledger import show
    from expunge.store.store import Store

    found: dict[str, str] = {}
    with Store.open(store) as opened:
        for row, data in show(opened, RUN):
            if row.kind == "record":
                record = Record.model_validate(read_json(data))
                label = str(record.request["label"])
                if label in found:
                    raise AssertionError(f"the record {label} was chained twice")
                found[label] = record.digest()
    return found


def main(plan: Path, work: Path, kills: int, seed: int) -> None:
    import torch

    import expunge.pipeline.run
    import expunge.report.page  # noqa: F401

    torch.set_num_threads(1)
    __import__("transformers").AutoModelForCausalLM  # noqa: B018
    draw = random.Random(seed)
    whole = work / "whole"
    started = time.monotonic()
    status = attempt(plan, whole)
    seconds = time.monotonic() - started
    if status:
        raise SystemExit(f"the unbroken run failed with {status}: {(work / 'output-whole').read_text()}")
    events = int((work / "events-whole").read_text())
    expected, killed, finished, store = canonical(whole), 0, 0, work / "broken-0"
    before: dict[str, str] = {}
    while killed < kills or before:
        by_clock = killed % 2 == 0
        fatal = -1 if by_clock or killed >= kills else draw.randrange(events // 3)
        wait = draw.uniform(0, seconds / 2) if by_clock and killed < kills else 600.0
        status = attempt(plan, store, fatal=fatal, seconds=wait)
        after = look(store)
        lost = {name for name, mark in before.items() if after.get(name) != mark}
        line = {"status": status, "by": "clock" if by_clock else "event", "at": wait if by_clock else fatal}
        print(json.dumps({**line, "finished": len(after), "lost": sorted(lost)}), flush=True)
        before = after
        if status == -signal.SIGKILL:
            killed += 1
        elif status == 0:
            if canonical(store) != expected:
                raise SystemExit("a resumed run gave other records than the unbroken one")
            finished, before = finished + 1, {}
            store = work / f"broken-{finished}"
        else:
            raise SystemExit(f"a resumed run failed with {status}: {(work / f'output-{store.name}').read_text()}")
    print(json.dumps({"killed": killed, "resumed": finished, "records": len(expected), "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
