"""`expunge demo` with its two plans made small: it runs, signs, writes its page, and runs again from its store."""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import pytest

from expunge.app import demo_command
from expunge.app.command import main
from expunge.engine import fit as engine


def small(plan: dict[str, Any], methods: int, **request: Any) -> dict[str, Any]:
    """Return a plan of the demo with one epoch, one retrained model, the first methods and two attacks."""
    plan = copy.deepcopy(plan)
    plan["request"]["settings"].update(request)
    plan["recipe"]["epochs"] = 1
    plan["method"] = plan["method"][:methods]
    plan["verify"].update(attacks=["direct_question", "loss"], retain_rows=8)
    return {**plan, "seeds": {"retrained": [101]}}


def test_the_demo_runs_and_runs_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fails if the demo's rows cannot be certified (their ids were once taken for forget text), a certificate does not hold, the page is
    not written, or a second run trains again.
    """
    monkeypatch.setattr(
        demo_command, "PEOPLE", small(demo_command.PEOPLE, 1, people=8, forget_people=2, holdout_people=2, ledger=1)
    )
    monkeypatch.setattr(demo_command, "DIGITS", small(demo_command.DIGITS, 1))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(sys, "argv", ["expunge", "demo", "--out", str(tmp_path), "--quiet"])

    def once() -> str:
        with pytest.raises(SystemExit) as left:
            main()
        assert not left.value.code, capsys.readouterr().err
        return capsys.readouterr().out

    said = once()
    certificates = sorted((tmp_path / "certificates").glob("*.json"))
    assert [path.name for path in certificates] == ["digits-finetune-0.json", "people-finetune-0.json"]
    assert "time:" in said
    page = (tmp_path / "report.html").read_text()
    assert "people" in page
    assert "digits" in page
    monkeypatch.setattr(engine, "optimise", None)
    again = once()
    assert again.splitlines()[:-1] == said.splitlines()[:-1]
