"""Every Python block of the README and of docs/ runs, in order, beside a tiny model directory."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from tiny_directory import Tiny

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = {
    path.relative_to(ROOT).as_posix(): blocks
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if (blocks := BLOCK.findall(path.read_text(encoding="utf-8")))
}


@pytest.mark.parametrize("page", PAGES)
def test_the_blocks_of_a_page_run(
    page: str, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fails if an example names a function, an argument or a unit that is not there.

    `model`, `retrained`, `forget.jsonl`, `retain.jsonl` and `holdout.jsonl` lie in the working directory; blocks of a page share names.
    """
    shutil.copytree(tiny.target, tmp_path / "model")
    shutil.copytree(tiny.never, tmp_path / "retrained")
    for name in ("forget", "retain", "holdout"):
        shutil.copy(tiny.file(name), tmp_path)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "example"}
    for block in PAGES[page]:
        exec(compile(block, page, "exec"), names)
    capsys.readouterr()


def test_the_guide_has_the_example() -> None:
    """Fails if the page is lost, or its example grows: it is ten lines, and the same as the README's where that has one."""
    first = PAGES["docs/guide/python.md"][0]
    assert len([line for line in first.splitlines() if line and not line.startswith(" " * 5)]) <= 10
    shown = PAGES.get("README.md", [first])
    assert first in shown


def test_the_example_says_what_it_did(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fails if the example prints nothing of worth: a claim, tests against the control, and the methods of a modality."""
    test_the_blocks_of_a_page_run("docs/guide/python.md", tiny, tmp_path, monkeypatch, capsys)
    assert (tmp_path / "without" / "model" / "model.safetensors").is_file()
    assert (tmp_path / "without" / "certificate.json").is_file()
    assert not (tmp_path / "never").exists()
