"""What the pipeline's tests share: the command, run in this process."""

from __future__ import annotations

import sys

import pytest
from tiny_directory import Command, Done


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run `expunge ARGUMENTS` through the real `main`."""
    from expunge.app.command import main

    def run(*arguments: object) -> Done:
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        monkeypatch.setattr(sys, "argv", ["expunge", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else int(left.code is not None)
        said = capsys.readouterr()
        return Done(code, said.out, said.err)

    return run
