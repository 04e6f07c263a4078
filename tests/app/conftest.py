"""What the command's tests share: a tiny model directory, and the command itself, run in this process."""

from __future__ import annotations

import sys

import pytest
from tiny_directory import Command, Done, Tiny, make_tiny


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """A target that knows 24 people, 8 of them to be forgotten, and a model that never saw these 8."""
    return make_tiny(tmp_path_factory.mktemp("tiny") / "t")


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run `expunge ARGUMENTS` through the real `main`, in this process: no second import of torch."""
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
