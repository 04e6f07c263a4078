"""Progress: every item passes, short loops are silent, plain lines off a terminal, nothing when quiet."""

from __future__ import annotations

import pytest

import expunge.pipeline.progress as progress
from expunge.pipeline.progress import Bars


class Clock:
    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def monotonic(self) -> float:
        self.now += self.step
        return self.now


def lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], bars: Bars, step: float, n: int = 10
) -> list[str]:
    """What is printed off a terminal while `n` items pass, the clock moving `step` seconds at each look."""
    monkeypatch.setattr(progress, "time", Clock(step))
    assert list(bars.track(range(n), total=n, label="loop")) == list(range(n))
    return capsys.readouterr().err.splitlines()


def test_a_line_every_ten_seconds_with_the_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fails if the estimate is not time spent / done * left: at 5 s an item, after 2 of 10 it is 40 s."""
    found = lines(monkeypatch, capsys, Bars(stage="target"), 5.0)
    assert found[0] == "target: loop 2/10 (20%), 40 s left"
    assert found == [f"target: loop {k}/10 ({10 * k}%), {50 - 5 * k} s left" for k in (2, 4, 6, 8, 10)]


def test_short_loops_and_quiet_ones_are_silent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fails if a loop of under two seconds prints, or --quiet does not reach it."""
    assert lines(monkeypatch, capsys, Bars(), 0.1) == []
    assert lines(monkeypatch, capsys, Bars(quiet=True), 60.0) == []
