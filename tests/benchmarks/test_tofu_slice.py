"""Forty authors of the real TOFU through the command, from nothing to a table and a page."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from expunge.facts.record import Record
from expunge.store.store import Store

SLICE = ("authors=40", "width=128", "epochs=60", "stop_loss=0.2")
MINUTES = 15


@pytest.mark.slow
@pytest.mark.timeout(2 * MINUTES * 60)
def test_forty_authors(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The target recalls its answers, a model that never saw them does not, and the verdict tells the two apart.

    Fails if the target is trained too short (probability at most .8), if retrained models are trained on forget rows, if doing nothing
    is taken for a removal, or if it takes more than a quarter of an hour. What the methods reach is printed and not tested:
    that is the benchmark's result.
    """
    from expunge.app.command import main

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    given = [word for setting in SLICE for word in ("--set", setting)]
    monkeypatch.setattr(
        sys,
        "argv",
        ["expunge", "bench", "tofu", "--data", str(shared_data / "tofu"), *given, "--methods", "ascent,npo", "--seeds", "0",
         "--retrained-seeds", "101,102", "--out", str(tmp_path), "--quiet"],
    )  # fmt: skip
    started = time.process_time()
    with pytest.raises(SystemExit) as left:
        main()
    assert not left.value.code
    spent = time.process_time() - started
    print(capsys.readouterr().out)
    table = (tmp_path / "table.md").read_text().splitlines()
    named = [line.split("|")[1].strip() for line in table if line.startswith("| ")]
    assert named == [
        "model", "target", "retrained-0", "retrained-1", "untrained", "do_nothing", "second_retrained", "ascent", "npo"
    ]  # fmt: skip
    assert (tmp_path / "report.html").stat().st_size > 100_000
    with Store.open(tmp_path / "store") as store:
        (run,) = (tmp_path / "store" / "runs").iterdir()
        pieces = {name: (run / "pieces" / f"record-{name}").read_bytes() for name in ("do_nothing", "second_retrained")}
        assert store.verify_chain() > 0
    nothing, second = (Record.model_validate_json(pieces[name]) for name in ("do_nothing", "second_retrained"))
    recalled = {
        found.model: found.score.value
        for found in nothing.measurements
        if (found.metric, found.split) == ("probability", "forget")
    }
    assert (recalled["target"] or 0.0) > 0.8
    assert max(recalled[name] or 0.0 for name in ("retrained-0", "retrained-1", "untrained")) < 0.2
    assert nothing.claim is not None
    assert second.claim is not None
    assert nothing.claim.rung == "not_shown"
    assert second.claim.rung != "not_shown"
    assert spent < MINUTES * 60
