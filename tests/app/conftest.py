"""What the command's tests share: a tiny model directory, a finished run, and the command itself, run in this process."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tiny_directory import Command, Done, Tiny, call, make_tiny, write_plan


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """A target that knows 24 people, 8 of them to be forgotten, and a model that never saw these 8."""
    return make_tiny(tmp_path_factory.mktemp("tiny") / "t")


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run `expunge ARGUMENTS` in this process."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return call


@pytest.fixture(scope="session")
def _finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done]:
    folder = tmp_path_factory.mktemp("finished") / "run"
    plan = write_plan(folder)
    options = ("--store", folder / "store", "--name", "x", "--out", folder / "page.html", "--json", "--quiet")
    return folder, call("run", plan, *options)


@pytest.fixture
def finished(_finished: tuple[Path, Done], tmp_path: Path) -> tuple[Path, Done]:
    """A copy of a folder with `plan.toml`, its rows, the `store` of the run `x` of it and `page.html`; and what the run printed."""
    folder, done = _finished
    assert done.code == 0, done.err
    shutil.copytree(folder, tmp_path / "finished")
    return tmp_path / "finished", done


@pytest.fixture(scope="session")
def whole(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One removal by the Python interface, kept for the tests that only look at what was written."""
    from expunge import forget as run

    work = tmp_path_factory.mktemp("whole")
    run(tiny.target, forget=tiny.file("forget"), retain=tiny.file("retain"), holdout=tiny.file("holdout"), method="grad_diff",
        settings={"epochs": 2, "lr": 1e-2}, out=work / "out", store=work / "store")  # fmt: skip
    return work
